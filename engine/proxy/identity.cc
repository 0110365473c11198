#include "proxy/identity.h"

#include <initializer_list>
#include <string>
#include <string_view>

#include "core/text.h"
#include "rules/agents.h"

namespace ccrules::proxy {
namespace {

constexpr std::size_t kLongestName =
    200;  ///< of anything a client may call itself, its project or its session

std::string first_header(const http::Headers& headers, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (const std::string_view value = headers.get(name); !value.empty())
      return std::string(value.substr(0, kLongestName));
  }
  return {};
}

std::string client_name(std::string_view user_agent) {
  if (user_agent.starts_with("claude-cli/") || user_agent.starts_with("claude-code/")) return "claude-code";
  if (user_agent.starts_with("Anthropic/")) return "anthropic-sdk";
  if (user_agent.starts_with("OpenAI/")) return "openai-sdk";
  return std::string(user_agent.substr(0, user_agent.find_first_of("/ ")).substr(0, kLongestName));
}

/// Claude Code marks a subagent's request in the attribution line that heads its system prompt.
bool says_subagent(const chat::Outline& outline) {
  return !outline.system_json.empty() &&
         outline.system_json.front().starts_with("\"x-anthropic-billing-header:") &&
         outline.system_json.front().find("cc_is_subagent=true") != std::string_view::npos;
}

std::string request_class(const http::Headers& headers, const rules::Identity& who,
                          const chat::Outline& outline) {
  if (std::string said = first_header(headers, {"x-claude-code-request-class"}); !said.empty()) return said;
  if (!who.agent_id.empty() || says_subagent(outline)) return "subagent";
  if (who.client != "claude-code") return {};
  // Session titles and the like: no tools, an answer by schema (claude-code-client 1, "background work").
  return outline.tools == 0 && outline.json_schema_answer ? "background" : "main";
}

}  // namespace

rules::Identity identify(Worker& worker, const http::RequestHead& head, const chat::Outline& outline) {
  const http::Headers& headers = head.headers;
  rules::Identity who;
  who.client = client_name(headers.get("user-agent"));
  who.session = first_header(headers, {"x-ccrules-session", "x-claude-code-session-id", "x-session-id"});
  if (who.session.empty()) who.session = outline.session_id.substr(0, kLongestName);
  who.user = first_header(headers, {"x-ccrules-user"});
  if (who.user.empty() && !outline.user_id.starts_with('{'))
    // Older Claude Code names its session behind the user: "user_..._account_..._session_...".
    who.user = outline.user_id.substr(0, outline.user_id.rfind("_session_")).substr(0, kLongestName);
  who.project = first_header(headers, {"x-ccrules-project"});
  if (who.project.empty()) who.project = rules::working_directory(outline).substr(0, kLongestName);
  who.agent_id = first_header(headers, {"x-claude-code-agent-id"});
  who.request_class = request_class(headers, who, outline);

  who.agent = first_header(headers, {"x-ccrules-agent"});
  if (who.agent.empty()) {
    rules::AgentFinder::Query query;
    query.outline = &outline;
    query.session = who.session;
    query.project = who.project;
    query.agent_id = who.agent_id;
    query.hint = headers.get("x-claude-code-agent-type");
    query.now_ms = worker.loop.now_ms();
    who.agent = worker.agents.find(query);
  }
  return who;
}

}  // namespace ccrules::proxy
