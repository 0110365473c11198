#include "proxy/lost_reply.h"

#include <algorithm>
#include <string>
#include <variant>

#include "core/text.h"
#include "dialect/failure.h"

namespace ccrules::proxy {
namespace {

/// The JSON object that a text begins with; empty when its end is missing.
std::string_view first_object(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (in_string) {
      if (byte == '\\') ++at;
      in_string = byte != '"';
    } else if (byte == '"') {
      in_string = true;
    } else if (byte == '{') {
      ++depth;
    } else if (byte == '}' && --depth == 0) {
      return text.substr(0, at + 1);
    }
    if (depth == 0) return {};  // it begins with something else
  }
  return {};
}

bool told_of_failure(const std::vector<chat::Event>& events) {
  return std::any_of(events.begin(), events.end(), [](const chat::Event& event) {
    const auto* failed = std::get_if<chat::StreamError>(&event);
    return failed != nullptr && !failed->cut;
  });
}

void note_lost_stream(const FirstReply& attempt, const Error& error, Tried& tried) {
  std::int64_t text_bytes = attempt.reader->passed_over_bytes();
  for (const chat::Event& event : attempt.events) {
    if (const auto* start = std::get_if<chat::MessageStart>(&event)) tried.wasted.merge(start->usage);
    if (const auto* delta = std::get_if<chat::BlockDelta>(&event)) text_bytes += static_cast<std::int64_t>(delta->text.size());
  }
  if (error.code == ErrorCode::kCancelled || told_of_failure(attempt.events)) return;
  tried.lost = true;
  tried.lost_text_bytes = text_bytes;
}

}  // namespace

void note_lost(const FirstReply& attempt, const Error& error, Tried& tried) {
  if (attempt.reader) {
    note_lost_stream(attempt, error, tried);
    return;
  }
  if (error.code == ErrorCode::kCancelled) return;
  tried.wasted = usage_in(attempt.whole, *attempt.upstream);
  if (!tried.wasted.empty()) return;
  const std::string_view body = text::trim(attempt.whole);
  const bool is_json = body.empty() || body.front() == '{' || body.front() == '[';
  if (!is_json || (attempt.upstream_ended && dialect::tells_error(body))) return;
  tried.lost = true;
  tried.lost_text_bytes = static_cast<std::int64_t>(body.size());
}

chat::Usage usage_in(std::string_view body, const dialect::Dialect& upstream) {
  constexpr std::size_t kLongestCounts = 64 * 1024;
  constexpr int kMostTries = 16;  // of what is not closed: a provider's body must not take a worker's time
  const std::string_view name = upstream.name() == "gemini" ? R"("usageMetadata")" : R"("usage")";
  // Behind the last one stands no other: of several, those before are parts of the answer.
  int tries = 0;
  for (std::size_t at = body.rfind(name); at != std::string_view::npos && tries < kMostTries;
       at = at == 0 ? std::string_view::npos : body.rfind(name, at - 1)) {
    ++tries;
    std::string_view rest = text::trim(body.substr(at + name.size(), kLongestCounts));
    if (!rest.starts_with(':')) continue;
    rest = text::trim(rest.substr(1));
    const std::string_view counts = first_object(rest);
    if (counts.empty()) continue;
    // A reply of every format that says nothing else.
    std::string reply = R"({"id":"","type":"message","object":"response","role":"assistant","model":"","content":[],"output":[],)"
                        R"("choices":[{"index":0,"message":{}}],"candidates":[{"content":{"parts":[]}}],)";
    reply.append(name).append(1, ':').append(counts).append(1, '}');
    return upstream.peek_reply(reply).usage;
  }
  return {};
}

}  // namespace ccrules::proxy
