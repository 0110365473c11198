#include "dialect/failure.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "core/json.h"
#include "core/limits.h"
#include "core/text.h"

namespace ccrules::dialect {
namespace {

constexpr int kDeepestErrorObject =
    6;  // OpenRouter nests an upstream's error text inside its own; nobody goes deeper.

bool contains(std::string_view text, std::string_view needle) {
  return text.find(needle) != std::string_view::npos;
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> needles) {
  return std::any_of(needles.begin(), needles.end(),
                     [&](std::string_view needle) { return contains(text, needle); });
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// --- removing keys

bool is_key_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
         c == '*' || c == '.';
}

/// Vendors quote the refused key; nothing that looks like one goes into answers, logs or the ledger.
std::string without_keys(std::string_view text) {
  constexpr std::array<std::string_view, 9> kPrefixes = {"sk-",  "sk_",  "gsk_",    "xai-", "AIza",
                                                         "csk-", "key-", "Bearer ", "r8_"};
  constexpr std::size_t kShortestKey = 12;
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const bool at_word = at == 0 || !is_key_char(text[at - 1]);
    std::size_t length = 0;
    for (const std::string_view prefix : kPrefixes) {
      if (!at_word || !text.substr(at).starts_with(prefix)) continue;
      std::size_t end = at + prefix.size();
      while (end < text.size() && is_key_char(text[end])) ++end;
      if (end - at >= kShortestKey) length = end - at;
    }
    if (length == 0) {
      clean += text[at++];
    } else {
      clean += "[key removed]";
      at += length;
    }
  }
  return clean;
}

std::string presentable(std::string_view words) {
  words = text::trim(words);
  bool cut = false;
  if (words.size() > limits::kErrorMessageBytes) {
    words = words.substr(0, limits::kErrorMessageBytes);
    cut = true;
  }
  // Not on a multi-byte character: to_valid_utf8 would show the half as U+FFFD.
  while (cut && !words.empty() && (static_cast<unsigned char>(words.back()) & 0x80) != 0)
    words.remove_suffix(1);
  std::string clean = without_keys(text::to_valid_utf8(words));
  if (cut) clean += " …";
  return clean;
}

// --- reading bodies

std::string html_title(std::string_view html) {
  const std::string lower = text::lower(html.substr(0, limits::kErrorMessageBytes));
  for (const std::string_view tag : {std::string_view("<title>"), std::string_view("<h1>")}) {
    const std::size_t begin = lower.find(tag);
    if (begin == std::string::npos) continue;
    const std::size_t end = lower.find("</", begin);
    return std::string(text::trim(
        html.substr(begin + tag.size(), end == std::string::npos ? end : end - begin - tag.size())));
  }
  return {};
}

class FailureReader {
 public:
  bool read(std::string_view body) {
    auto document = json::Document::open(body);
    if (!document) return false;
    auto root = document->root();
    if (!root) return false;
    read_value(*root, 0);
    return true;
  }
  FailureText take() {
    FailureText text = std::move(text_);
    if (!code_.empty()) text.type = std::move(code_);
    if (!raw_.empty()) text.message += (text.message.empty() ? "" : ": ") + raw_;
    return text;
  }

 private:
  void read_value(json::Value& value, int depth) {
    if (depth > kDeepestErrorObject) return;
    switch (value.type()) {
      case json::Type::kString:
        if (auto words = value.string()) say(*words);
        break;
      case json::Type::kObject:
        if (auto object = value.object()) read_object(*object, depth + 1);
        break;
      case json::Type::kArray:
        if (auto array = value.array()) {
          while (array->next()) read_value(array->value(), depth + 1);
        }
        break;
      default:
        break;
    }
  }

  void read_object(json::Object& object, int depth) {
    std::string location;
    while (object.next()) {
      const std::string key(object.key());
      json::Value& value = object.value();
      if (is_one_of(key,
                    {"error", "message", "msg", "detail", "errors", "error_description", "error_message"})) {
        if (key == "msg" && !location.empty()) say(location);
        read_value(value, depth);
      } else if (key == "type" || key == "status" || key == "code" || key == "error_code") {
        read_type(key, value);
      } else if (key == "loc") {
        location = read_location(value);
      } else if (key == "details" || key == "metadata") {
        read_details(value, depth);
      } else if (key == "retryDelay" && value.is(json::Type::kString)) {
        if (auto delay = value.string()) read_delay(*delay);
      }
    }
  }

  void read_type(std::string_view key, json::Value& value) {
    if (value.is(json::Type::kNumber)) {
      const auto number = value.integer();
      if (number && *number >= 400 && *number <= 599) text_.inner_status = static_cast<int>(*number);
      return;
    }
    if (!value.is(json::Type::kString)) return;
    const auto word = value.string();
    if (!word || word->empty() || *word == "error" || word->size() > 100 ||
        word->starts_with("type.googleapis.com"))
      return;
    if (const auto number = text::to_int(*word); number && *number >= 400 && *number <= 599) {
      text_.inner_status = static_cast<int>(*number);
    } else if (key == "code" || key == "error_code") {
      code_ = *word;
    } else if (text_.type.empty()) {
      text_.type = *word;
    }
  }

  static std::string read_location(json::Value& value) {
    std::string location;
    if (!value.is(json::Type::kArray)) return location;
    auto array = value.array();
    if (!array) return location;
    while (array->next()) {
      const auto part = array->value().raw();
      if (!part) break;
      std::string_view word = *part;
      if (word.size() >= 2 && word.front() == '"') word = word.substr(1, word.size() - 2);
      if (!location.empty()) location += '.';
      location += word;
    }
    return location;
  }

  /// OpenRouter metadata {provider_name, raw}, Gemini details [{retryDelay}], Anthropic details {error_code}:
  /// no text to show but `raw`, which holds the error of the provider behind the provider.
  void read_details(json::Value& value, int depth) {
    if (depth > kDeepestErrorObject) return;
    if (value.is(json::Type::kArray)) {
      auto array = value.array();
      while (array && array->next()) read_details(array->value(), depth + 1);
      return;
    }
    if (!value.is(json::Type::kObject)) return;
    auto object = value.object();
    while (object && object->next()) {
      const std::string key(object->key());
      json::Value& member = object->value();
      if (!member.is(json::Type::kString)) continue;
      const auto word = member.string();
      if (!word) return;
      if (key == "retryDelay") read_delay(*word);
      if (key == "error_code") code_ = *word;
      if (key == "raw" && !word->empty()) {
        const FailureText inner = parse_failure(std::string(*word));
        raw_ = inner.message;
        if (code_.empty()) code_ = inner.type;
      }
    }
  }

  /// "37s", "1.5s".
  void read_delay(std::string_view delay) {
    if (!delay.ends_with('s')) return;
    const std::string_view seconds =
        delay.substr(0, delay.find('.') == std::string_view::npos ? delay.size() - 1 : delay.find('.'));
    if (const auto whole = text::to_int(seconds); whole && *whole >= 0 && *whole < 86400)
      text_.retry_after_ms = *whole * 1000;
  }

  void say(std::string_view words) {
    if (words.empty() || text_.message.size() > limits::kErrorMessageBytes) return;
    if (contains(text_.message, words)) return;
    if (!text_.message.empty()) text_.message += ": ";
    text_.message += words;
  }

  FailureText text_;
  std::string code_;
  std::string raw_;
};

// --- overflow (G-1)

std::optional<std::int64_t> number_at(std::string_view text, std::size_t at) {
  std::string digits;
  for (; at < text.size() && digits.size() < 12; ++at) {
    if (text[at] >= '0' && text[at] <= '9')
      digits += text[at];
    else if (text[at] != ',' || digits.empty())
      break;
  }
  return digits.empty() ? std::nullopt : text::to_int(digits);
}

/// The number right behind one of the phrases.
std::optional<std::int64_t> number_after(std::string_view text,
                                         std::initializer_list<std::string_view> phrases) {
  for (const std::string_view phrase : phrases) {
    for (std::size_t at = text.find(phrase); at != std::string_view::npos; at = text.find(phrase, at + 1)) {
      if (const auto number = number_at(text, at + phrase.size())) return number;
    }
  }
  return std::nullopt;
}

/// The number right before one of the phrases.
std::optional<std::int64_t> number_before(std::string_view text,
                                          std::initializer_list<std::string_view> phrases) {
  for (const std::string_view phrase : phrases) {
    const std::size_t end = text.find(phrase);
    if (end == std::string_view::npos) continue;
    std::size_t begin = end;
    while (begin > 0 && ((text[begin - 1] >= '0' && text[begin - 1] <= '9') || text[begin - 1] == ','))
      --begin;
    if (const auto number = number_at(text, begin); begin < end && number) return number;
  }
  return std::nullopt;
}

bool is_throttling(std::string_view lower) {
  return contains_any(lower, {"rate limit", "too many requests", "throttl", "too many tokens, please wait",
                              "tokens per min", "requests per min", "tokens per day"});
}

bool says_overflow(std::string_view lower) {
  if (contains_any(lower, {"prompt is too long",
                           "prompt too long",
                           "prompt exceeds max length",
                           "input is too long for requested model",
                           "exceeds the context window",
                           "exceed context limit",
                           "context window exceeded",
                           "maximum context length is",
                           "maximum prompt length is",
                           "reduce the length of the messages",
                           "maximum allowed input length",
                           "longer than the model's context length",
                           "exceeds the available context size",
                           "greater than the context length",
                           "input length exceeds the context length",
                           "context window exceeds limit",
                           "exceeded model token limit",
                           "configured context size is",
                           "range of input length should be",
                           "context_length_exceeded",
                           "token limit exceeded",
                           "model's context length is only",
                           "exceeds model's maximum context length",
                           "exceeds the model's maximum context length",
                           "exceeds the maximum context length",
                           "exceeds maximum context length"})) {
    return true;
  }
  const auto then = [&](std::string_view first, std::string_view second) {
    const std::size_t at = lower.find(first);
    return at != std::string_view::npos && lower.find(second, at) != std::string_view::npos;
  };
  return then("input token count", "exceeds the maximum") || then("token count of", "exceeds the limit of") ||
         then("too large for model with", "maximum context length");
}

std::string overflow_message(const Overflow& overflow, const UpstreamFailure& failure,
                             const std::string& words) {
  const std::string lower = text::lower(words);
  const auto limit = overflow.limit_tokens ? overflow.limit_tokens : failure.context_tokens;
  const bool tells_numbers = overflow.limit_tokens || overflow.input_tokens || !limit;
  if (contains(lower, "input length and `max_tokens` exceed context limit") || (contains(lower, "prompt is too long") && tells_numbers))
    return words;
  std::string message;
  if (overflow.input_tokens && overflow.output_tokens && limit) {
    message =
        "input length and `max_tokens` exceed context limit: " + std::to_string(*overflow.input_tokens) +
        " + " + std::to_string(*overflow.output_tokens) + " > " + std::to_string(*limit);
  } else {
    std::int64_t input = overflow.input_tokens.value_or(failure.estimated_input_tokens);
    // Our estimate may be below a limit that the provider says is exceeded.
    if (limit && input <= *limit) input = *limit + 1;
    message = "prompt is too long";
    if (limit) message += ": " + std::to_string(input) + " tokens > " + std::to_string(*limit) + " maximum";
  }
  if (!words.empty()) message += " (" + words + ")";
  return message;
}

bool is_error_object(const json::Value& value) {
  if (!value.is(json::Type::kObject)) return false;
  if (const auto error = value.peek("error"); error && !error->is_null()) return true;
  return value.peek_string("type") == "error" || value.peek_string("object") == "error";
}

// --- classification

std::string named(const std::string& provider) {
  return provider.empty() ? "the provider" : "provider \"" + provider + "\"";
}

/// The status an error without a usable HTTP status stands for: errors inside streams and inside 200 answers.
int status_of_type(std::string_view type, std::string_view lower) {
  const std::string kind = text::lower(type);
  if (contains_any(kind, {"overloaded", "unavailable"})) return 529;
  if (contains_any(kind, {"rate_limit", "too_many", "resource_exhausted"}) ||
      is_one_of(kind, {"1302", "1303"}))
    return 429;
  if (contains_any(kind, {"authentication", "invalid_api_key", "unauthenticated", "unauthorized"}))
    return 401;
  if (contains_any(kind, {"billing", "insufficient_quota", "payment"}) || kind == "1113") return 402;
  if (contains_any(kind, {"permission", "forbidden"})) return 403;
  if (contains_any(kind, {"not_found", "notfound"}) || kind == "1211") return 404;
  if (contains_any(kind, {"too_large"})) return 413;
  if (contains_any(kind, {"timeout", "deadline_exceeded"})) return 504;
  if (contains_any(kind, {"invalid", "badrequest", "bad_request", "unsupported", "failed_generation",
                          "tool_use_failed"}))
    return 400;
  if (contains_any(lower, {"overloaded"})) return 529;
  if (is_throttling(lower)) return 429;
  return 500;
}

bool says_no_money(std::string_view type, std::string_view lower) {
  return is_one_of(type, {"insufficient_quota", "billing_error", "billing_hard_limit_reached",
                          "payment_required", "1113"}) ||
         contains_any(lower, {"credit balance is too low", "insufficient balance", "insufficient credits",
                              "requires more credits"});
}

bool says_unknown_model(std::string_view type, std::string_view lower) {
  return is_one_of(type, {"model_not_found", "1211"}) ||
         contains_any(lower, {"is not a valid model", "model not found", "no such model"});
}

struct Verdict {
  ErrorCode code = ErrorCode::kUpstreamRefused;
  Retry retry = Retry::kNever;
  int http_status = 400;
};

Verdict verdict_for(int status, std::string_view type, std::string_view lower) {
  if (status == 402 || says_no_money(type, lower))
    return {ErrorCode::kUpstreamRefused, Retry::kNextTarget, 402};
  // 403 in both cases: on 401 a client would blame its own key, and Claude Code would repeat for minutes.
  if (status == 401 || status == 403) return {ErrorCode::kUpstreamAuth, Retry::kNextTarget, 403};
  if (status == 429) return {ErrorCode::kUpstreamRateLimited, Retry::kSameTarget, 429};
  if (status == 413) return {ErrorCode::kTooLarge, Retry::kNextTarget, 413};
  if (status == 408 || status == 504 || status == 524)
    return {ErrorCode::kUpstreamTimeout, Retry::kNextTarget, 504};
  if (status == 503 || status == 529 || (status >= 500 && contains(lower, "overloaded")) ||
      text::equals_ignore_case(type, "unavailable")) {
    return {ErrorCode::kUpstreamOverloaded, Retry::kSameTarget, 529};
  }
  if (status >= 500) return {ErrorCode::kUpstreamFailed, Retry::kSameTarget, 500};
  if (status >= 300 && status < 400) return {ErrorCode::kUpstreamProtocol, Retry::kNextTarget, 502};
  if (status == 404 || says_unknown_model(type, lower))
    return {ErrorCode::kNotFound, Retry::kNextTarget, 404};
  if (status == 409) return {ErrorCode::kUpstreamRefused, Retry::kSameTarget, 409};
  return {ErrorCode::kUpstreamRefused, Retry::kNever, 400};
}

std::string message_for(const Verdict& verdict, int status, const UpstreamFailure& failure,
                        const std::string& words) {
  const std::string who = named(failure.provider);
  const std::string setting = failure.provider.empty() ? "its" : "providers." + failure.provider + ".";
  const std::string answered = " (HTTP " + std::to_string(status) + ")";
  if (verdict.code == ErrorCode::kUpstreamAuth) {
    const std::string key = failure.provider.empty() ? "its api_key" : setting + "api_key";
    return who + " did not accept our key" + answered + "; check " + key +
           (words.empty() ? "" : ": " + words);
  }
  if (status >= 300 && status < 400) {
    const std::string url = failure.provider.empty() ? "its base_url" : setting + "base_url";
    return who + " answered with a redirect" + answered + ", which is not followed; set " + url +
           " to the final address";
  }
  if (!words.empty()) return words;
  if (verdict.http_status == 404) {
    const std::string url = failure.provider.empty() ? "its base_url" : setting + "base_url";
    return who + " knows no such model or path" + answered + "; check " + url + " and the model's name";
  }
  return who + " answered HTTP " + std::to_string(status) +
         " without saying why; try again or route to another provider";
}

}  // namespace

FailureText parse_failure(std::string_view body) {
  body = text::trim(body);
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
  FailureText failure;
  if (body.empty()) return failure;
  if (body.front() == '{' || body.front() == '[' || body.front() == '"') {
    FailureReader reader;
    if (reader.read(body)) {
      failure = reader.take();
      failure.message = presentable(failure.message);
      failure.type = without_keys(failure.type);
      return failure;
    }
  }
  failure.message = presentable(
      body.front() == '<' ? html_title(body) : std::string(body.substr(0, 2 * limits::kErrorMessageBytes)));
  return failure;
}

bool tells_error(std::string_view body) {
  if (body.find("\"error\"") == std::string_view::npos || !json::is_valid(body)) return false;
  auto document = json::Document::open_view(body);
  if (!document) return false;
  auto root = document->root();
  if (!root || !root->is(json::Type::kArray)) return root && is_error_object(*root);
  auto errors = root->array();  // Gemini's way in streams
  return errors && errors->next() && is_error_object(errors->value());
}

std::optional<Overflow> find_overflow(std::string_view message, std::string_view type) {
  const std::string lower = text::lower(message);
  if (is_throttling(lower)) return std::nullopt;
  const bool typed = is_one_of(type, {"context_length_exceeded", "exceed_context_size_error",
                                      "context_window_exceeded", "model_context_window_exceeded", "1261"});
  if (!typed && !says_overflow(lower)) return std::nullopt;
  Overflow overflow;
  overflow.limit_tokens = number_after(
      lower, {"maximum context length is ", "context length is only ", "maximum prompt length is ",
              "limit of ", "token limit: ", "range of input length should be [1, ",
              "number of tokens allowed (", "context size (", "context length (", "tokens > ",
              "configured context size is ", "too large for model with "});
  overflow.input_tokens = number_before(lower, {" in the messages", " of text input", " input tokens"});
  overflow.output_tokens = number_before(lower, {" in the completion", " in the output", " output tokens"});
  if (!overflow.input_tokens) {
    overflow.input_tokens = number_after(
        lower, {"prompt is too long: ", "messages resulted in ", "resulted in ", "request contains ",
                "prompt contains ", "token count of ", "input token count (", "requested: ", "the input (",
                "request (", "you requested about ", "you requested "});
  }
  if (!overflow.output_tokens)
    overflow.output_tokens =
        number_after(lower, {"'max_completion_tokens' is too large: ", "'max_tokens' is too large: "});
  return overflow;
}

Error classify_failure(const UpstreamFailure& failure, FailureText text) {
  const std::string lower = text::lower(text.message);
  int status = failure.status;
  if (status < 300) status = text.inner_status != 0 ? text.inner_status : status_of_type(text.type, lower);
  Error error;
  error.origin = Origin::kUpstream;
  error.provider = failure.provider;
  error.type = text.type;
  error.retry_after_ms = failure.retry_after_ms >= 0 ? failure.retry_after_ms : text.retry_after_ms;

  std::optional<Overflow> overflow;
  if (status != 401 && status != 403 && status != 429) overflow = find_overflow(text.message, text.type);
  // Cerebras says nothing at all: believe our own count then.
  const bool surely_larger =
      failure.context_tokens && failure.estimated_input_tokens > *failure.context_tokens;
  if (!overflow && text.message.empty() && (status == 413 || (status == 400 && surely_larger)))
    overflow = Overflow{};
  if (overflow) {
    error.code = ErrorCode::kContextExceeded;
    error.retry = Retry::kNextTarget;
    error.http_status = 400;
    error.message = overflow_message(*overflow, failure, text.message);
    return error;
  }
  const Verdict verdict = verdict_for(status, text.type, lower);
  error.code = verdict.code;
  error.retry = verdict.retry;
  error.http_status = verdict.http_status;
  error.message = message_for(verdict, status, failure, text.message);
  // Our key stays wrong however often the client asks.
  if (verdict.code == ErrorCode::kUpstreamAuth) error.should_retry_false = true;
  if (status == 429 && verdict.http_status == 429 && error.retry_after_ms < 0 &&
      contains(text.type, "spend_limit")) {
    error.retry = Retry::kNextTarget;
    error.should_retry_false = true;
  }
  return error;
}

Error read_failure(const UpstreamFailure& failure) {
  return classify_failure(failure, parse_failure(failure.body));
}

chat::StreamError stream_error(std::string_view error_json, std::string_view provider) {
  UpstreamFailure failure;
  failure.status = 200;
  failure.provider = provider;
  const Error error = classify_failure(failure, parse_failure(error_json));
  chat::StreamError event{std::string(error_type(error)), error.message};
  event.retry_after_ms = error.retry_after_ms;
  return event;
}

Error error_of(const chat::StreamError& event, const UpstreamFailure& whose) {
  UpstreamFailure failure = whose;
  failure.status = 200;
  FailureText text;
  text.message = event.message;
  text.type = event.type;
  text.retry_after_ms = event.retry_after_ms;
  Error error = classify_failure(failure, std::move(text));
  if (error.code != ErrorCode::kContextExceeded) error.message = event.message;
  if (event.cut) {
    error.code = ErrorCode::kUpstreamProtocol;
    error.http_status = 502;
  }
  return error;
}

std::string_view error_type(const Error& error) {
  if (error.code == ErrorCode::kContextExceeded) return "invalid_request_error";
  return error_type_of(error.http_status);
}

std::string_view error_type_of(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 402:
      return "billing_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 409:
      return "conflict_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 408:
    case 504:
      return "timeout_error";
    case 503:
    case 529:
      return "overloaded_error";
    default:
      return http_status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace ccrules::dialect
