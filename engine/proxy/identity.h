#pragma once
#include "chat/outline.h"
#include "http/message.h"
#include "proxy/worker.h"
#include "rules/facts.h"

namespace ccrules::proxy {

/// Who sent this and what it belongs to: from headers, from metadata, from what Claude Code writes into its
/// prompts (rules.md 3; claude-code-gateway 2.5-2.10). Headers of ours win: x-ccrules-session, -user,
/// -project, -agent.
rules::Identity identify(Worker& worker, const http::RequestHead& head, const chat::Outline& outline);

}  // namespace ccrules::proxy
