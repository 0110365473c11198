#include "dialect/broken.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"
#include "dialect/failure.h"

namespace ccrules::dialect {
namespace {

constexpr std::size_t kShownBytes = 120;  // enough to recognise who sent them
constexpr std::string_view kCheck = "; check that its base_url is the address of its API and what stands between";

/// Long enough to recognise what sent it.
std::string quoted(std::string_view words) {
  if (words.empty()) return {};
  std::string text(words.substr(0, words.find_first_of("\r\n")));
  if (text.size() > kShownBytes) {
    std::size_t end = kShownBytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text.resize(end);
    text += " …";
  }
  return " (\"" + text + "\")";
}

bool is_text(std::string_view bytes) {
  return std::none_of(bytes.begin(), bytes.end(), [](char c) {
    return (static_cast<unsigned char>(c) < ' ' && c != '\t' && c != '\r' && c != '\n') || c == '\x7F';
  });
}

bool begins_json(std::string_view text) {
  return text.starts_with('{') || text.starts_with('[');
}

}  // namespace

std::string described(std::string_view bytes) {
  std::string_view text = text::trim(bytes);
  if (text.starts_with("\xEF\xBB\xBF")) text = text::trim(text.substr(3));
  if (text.empty()) return "nothing";
  if (text.starts_with('<')) {
    const bool html = text::contains_ignore_case(text.substr(0, limits::kErrorMessageBytes), "<html");
    return (html ? "a page of HTML" : "markup") + quoted(parse_failure(text).message);
  }
  if (json::is_valid(text)) return "JSON";
  if (begins_json(text)) return "JSON that breaks off or is wrong";
  if (!is_text(text.substr(0, kShownBytes))) return "bytes that are no text";
  return "text" + quoted(parse_failure(text.substr(0, limits::kErrorMessageBytes)).message);
}

Error broken_stream(std::string_view what) {
  Error error;
  error.code = ErrorCode::kUpstreamProtocol;
  error.origin = Origin::kUpstream;
  error.retry = Retry::kNextTarget;
  error.http_status = 502;
  error.message = "the provider's stream " + std::string(what);
  return error;
}

Error not_json(std::string_view came, std::string_view hint) {
  return broken_stream("holds " + described(came) + " where a JSON object belongs; " + std::string(hint));
}

chat::StreamError not_an_answer(std::string_view body, std::string_view provider) {
  if (begins_json(body) && json::is_valid(body)) {
    const FailureText said = parse_failure(body);
    if (!said.message.empty() || !said.type.empty() || said.inner_status != 0) return stream_error(body, provider);
  }
  if (begins_json(body) && !json::is_valid(body)) return {"api_error", "the provider's answer ended before its JSON did", true};
  return {"api_error",
          "the provider sent " + described(body) +
              " where an answer was expected" + std::string(kCheck),
          true};
}

chat::StreamError unnamed_call() { return {"api_error", "the provider called a tool without naming it"}; }

bool has_unnamed_call(const chat::Reply& reply) {
  return std::any_of(reply.blocks.begin(), reply.blocks.end(), [](const chat::Block& block) {
    const auto* call = std::get_if<chat::ToolCall>(&block.value);
    return call != nullptr && call->name.empty();
  });
}

chat::StreamError cut_stream(bool began, const UnstreamedBody& start) {
  if (began) return {"api_error", "the provider's stream ended before its answer did", true};
  if (start.strange().empty()) return {"api_error", "the provider ended its stream without an answer", true};
  std::string message = "the provider sent " + described(start.strange()) + " where a stream of events was expected" + std::string(kCheck);
  return {"api_error", std::move(message), true};
}

}  // namespace ccrules::dialect
