#include "dialect/openai_chat/request_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "core/digest.h"
#include "core/json.h"
#include "core/text.h"
#include "dialect/expected_bytes.h"
#include "dialect/fit.h"
#include "dialect/foreign_members.h"
#include "dialect/kept_state.h"
#include "dialect/misplaced_blocks.h"
#include "dialect/openai_chat/message_writer.h"
#include "dialect/openai_chat/reasoning_writer.h"
#include "dialect/openai_chat/tool_writer.h"
#include "dialect/tools.h"
#include "dialect/unknown_members.h"

namespace ccrules::dialect::openai {
namespace {

constexpr FormatName kFormat = {"openai_chat", "chat completions"};

class RequestWriter {
 public:
  RequestWriter(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : request_(request), target_(target), losses_(losses), same_format_(request.dialect == "openai_chat") {}

  Result<std::string> write() {
    if (!same_format_) CCR_CHECK(refuse_kept_state(request_, target_));
    CCR_CHECK(take_extra_members());
    out_.reserve(expected_bytes(request_));
    out_ += "{\"model\":";
    json::append_string(out_, target_.model.empty() ? request_.model : target_.model);
    out_ += ",\"messages\":";
    CCR_CHECK(append_messages(out_, request_, target_, losses_));
    CCR_CHECK(write_tools());
    write_max_tokens();
    write_sampling();
    write_thinking();
    write_response_format();
    write_user();
    if (request_.stream) {
      out_ += ",\"stream\":true";
      // Asked for whatever the client wants: the ledger needs it. The stream writer leaves it out again.
      if (target_.stream_usage) out_ += ",\"stream_options\":{\"include_usage\":true}";
    }
    out_ += extra_;
    out_ += '}';
    note_misplaced_blocks(request_, losses_);
    if (!same_format_) note_unknown_members(request_, losses_);
    return std::move(out_);
  }

 private:
  Result<void> take_extra_members() {
    if (request_.extra_json.empty()) return {};
    if (same_format_) {
      const std::string_view members = text::trim(request_.extra_json);
      if (members.size() > 2) extra_.append(",").append(members.substr(1, members.size() - 2));
      return {};
    }
    note_foreign_members(request_, "chat completions have no such member", losses_);
    return {};
  }

  // --- tools

  Result<void> write_tools() {
    CCR_TRY(sent, tools_to_send(request_, target_, kFormat, losses_));
    if (sent.empty()) {
      if (request_.tool_choice && request_.tool_choice->kind != chat::ToolChoiceKind::kAuto &&
          request_.tool_choice->kind != chat::ToolChoiceKind::kNone) {
        losses_.add("tool_choice", "no tool is left to choose");
      }
      return {};
    }
    out_ += ",\"tools\":[";
    append_tools(out_, request_, sent, losses_);
    out_ += ']';
    if (request_.tool_choice) write_tool_choice(*request_.tool_choice, sent);
    return {};
  }

  void write_tool_choice(const chat::ToolChoice& choice, const std::vector<std::size_t>& sent) {
    const bool forced =
        choice.kind == chat::ToolChoiceKind::kAny || choice.kind == chat::ToolChoiceKind::kTool;
    const bool offered = choice.kind != chat::ToolChoiceKind::kTool ||
                         std::any_of(sent.begin(), sent.end(),
                                     [&](std::size_t i) { return request_.tools[i].name == choice.name; });
    if (forced && (!target_.forced_tool_choice || !offered)) {
      losses_.add("tool_choice",
                  offered ? "this model takes no forced tool choice" : "the chosen tool could not be sent");
      out_ += ",\"tool_choice\":\"auto\"";
    } else if (choice.kind == chat::ToolChoiceKind::kTool) {
      out_ += R"(,"tool_choice":{"type":"function","function":{"name":)";
      append_tool_name(out_, choice.name);
      out_ += "}}";
    } else {
      out_ += choice.kind == chat::ToolChoiceKind::kAny    ? ",\"tool_choice\":\"required\""
              : choice.kind == chat::ToolChoiceKind::kNone ? ",\"tool_choice\":\"none\""
                                                           : ",\"tool_choice\":\"auto\"";
    }
    if (!choice.parallel_tool_calls) return;
    if (target_.parallel_tool_calls)
      out_ +=
          *choice.parallel_tool_calls ? ",\"parallel_tool_calls\":true" : ",\"parallel_tool_calls\":false";
    else if (!*choice.parallel_tool_calls)
      losses_.add("disable_parallel_tool_use", "the provider does not take parallel_tool_calls");
  }

  // --- numbers

  void write_max_tokens() {
    if (!request_.max_tokens) return;
    sent_max_tokens_ = allowed_max_tokens(*request_.max_tokens, target_, losses_);
    write_integer(target_.max_completion_tokens ? "max_completion_tokens" : "max_tokens", *sent_max_tokens_);
  }

  void write_sampling() {
    const bool asked = request_.temperature || request_.top_p;
    if (asked && !target_.sampling) losses_.add("sampling", "this model takes no temperature or top_p");
    if (target_.sampling && request_.temperature) write_number("temperature", *request_.temperature);
    if (target_.sampling && request_.top_p) write_number("top_p", *request_.top_p);
    if (request_.top_k && same_format_) {
      write_integer("top_k", *request_.top_k);
    } else if (request_.top_k) {
      losses_.add("top_k", "chat completions have no top_k");
    }
    write_stop();
  }

  void write_stop() {
    constexpr std::size_t kMostStops = 4;
    std::size_t written = 0;
    for (const std::string& stop : request_.stop_sequences) {
      if (stop.empty()) continue;
      if (written == kMostStops) {
        losses_.add("stop_sequences", "chat completions take four; the others were left out");
        break;
      }
      out_ += written++ == 0 ? ",\"stop\":[" : ",";
      json::append_string(out_, stop);
    }
    if (written > 0) out_ += ']';
  }

  void write_thinking() {
    if (same_format_) {
      // The vendor's own thinking members are among the extra ones.
      if (!request_.effort.empty() && request_.extra_json.find("\"reasoning\":") == std::string::npos) {
        write_string("reasoning_effort", request_.effort);
      }
      return;
    }
    if (!request_.thinking.display.empty())
      losses_.add("thinking.display", "chat completions cannot choose how reasoning is shown");
    append_reasoning(out_, request_, sent_max_tokens_, target_, losses_);
  }

  void write_response_format() {
    if (!request_.response_schema_json.empty()) {
      out_ += R"(,"response_format":{"type":"json_schema","json_schema":{"name":)";
      json::append_string(out_, request_.response_schema_name.empty()
                                    ? std::string_view("answer")
                                    : std::string_view(request_.response_schema_name));
      out_.append(",\"schema\":").append(request_.response_schema_json);
      const std::string extra = schema_settings(request_, "openai_chat", "chat completions have no such member", losses_);
      if (!extra.empty()) out_.append(",").append(extra, 1, extra.size() - 2);
      out_ += "}}";
    } else if (request_.json_object_mode) {
      out_ += R"(,"response_format":{"type":"json_object"})";
    }
  }

  /// Other vendors refuse unknown members, so only those known to take them get a user, and no other provider
  /// learns the client's own ids.
  void write_user() {
    if (request_.user_id.empty()) return;
    if (same_format_) {
      write_string("user", request_.user_id);
    } else if (target_.user_identifiers) {
      const std::string hashed = digest::sha256_hex(request_.user_id);
      write_string("safety_identifier", hashed);
      write_string("prompt_cache_key", hashed.substr(0, 32));
      losses_.add("metadata.user_id", "sent as a hash");
    } else {
      losses_.add("metadata.user_id", "not told to other providers");
    }
  }

  void write_key(std::string_view name) { out_.append(",\"").append(name).append("\":"); }
  void write_string(std::string_view name, std::string_view text) {
    write_key(name);
    json::append_string(out_, text);
  }
  void write_integer(std::string_view name, std::int64_t number) {
    write_key(name);
    out_ += std::to_string(number);
  }
  void write_number(std::string_view name, double number) {
    if (!std::isfinite(number)) return;
    std::array<char, 40> digits;
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    write_key(name);
    out_.append(digits.data(), written.ptr);
  }

  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  bool same_format_;
  std::string out_;
  std::optional<std::int64_t> sent_max_tokens_;
  std::string extra_;  ///< unmodelled top-level members of a chat request, with their leading comma
};

}  // namespace

Result<std::string> write_request(const chat::Request& request, const Capabilities& target,
                                  chat::LossNotes& losses) {
  return RequestWriter(request, target, losses).write();
}

}  // namespace ccrules::dialect::openai
