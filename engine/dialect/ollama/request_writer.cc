#include "dialect/ollama/request_writer.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/text.h"
#include "dialect/expected_bytes.h"
#include "dialect/fit.h"
#include "dialect/foreign_members.h"
#include "dialect/kept_state.h"
#include "dialect/misplaced_blocks.h"
#include "dialect/ollama/message_writer.h"
#include "dialect/tools.h"
#include "dialect/unknown_members.h"

namespace ccrules::dialect::ollama {
namespace {

constexpr FormatName kFormat = {"ollama", "Ollama chats"};

class RequestWriter {
 public:
  RequestWriter(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : request_(request), target_(target), losses_(losses), same_format_(request.dialect == "ollama") {}

  Result<std::string> write() {
    CCR_CHECK(refuse_kept_state(request_, target_));
    CCR_CHECK(take_extra_members());
    out_.reserve(expected_bytes(request_));
    out_ += "{\"model\":";
    json::append_string(out_, target_.model.empty() ? request_.model : target_.model);
    out_ += ",\"messages\":";
    CCR_CHECK(append_messages(out_, request_, target_, losses_));
    CCR_CHECK(write_tools());
    write_think();
    write_format();
    write_options();
    out_ += request_.stream ? ",\"stream\":true" : ",\"stream\":false";
    // Else a server cuts off in silence what its window does not hold, and the window is small unless set otherwise.
    if (!same_format_) out_ += ",\"truncate\":false";
    out_ += extra_;
    out_ += '}';
    note_misplaced_blocks(request_, losses_);
    note_unknown_members(request_, losses_);  // of its own too: none goes back out
    return std::move(out_);
  }

 private:
  Result<void> take_extra_members() {
    if (request_.extra_json.empty()) return {};
    if (!same_format_) {
      note_foreign_members(request_, "Ollama has no such member", losses_);
      return {};
    }
    CCR_TRY(document, json::Document::open(request_.extra_json));
    CCR_TRY(members, document.root_object());
    while (members.next()) {
      const std::string name(members.key());
      CCR_TRY(value, members.value().raw());
      if (name == "options") {
        options_.append(",").append(value.substr(1, value.size() - 2));
      } else {
        extra_ += ',';
        json::append_string(extra_, name);
        extra_.append(":").append(value);
      }
    }
    return {};
  }

  Result<void> write_tools() {
    CCR_TRY(sent, tools_to_send(request_, target_, kFormat, losses_));
    const bool none = request_.tool_choice && request_.tool_choice->kind == chat::ToolChoiceKind::kNone;
    if (request_.tool_choice && request_.tool_choice->kind != chat::ToolChoiceKind::kAuto) {
      losses_.add("tool_choice", none ? "Ollama cannot be told not to call tools: they were not sent"
                                      : "Ollama cannot be told to call a tool");
    }
    if (request_.tool_choice && request_.tool_choice->parallel_tool_calls == false)
      losses_.add("disable_parallel_tool_use", "Ollama cannot be told to call one tool at a time");
    if (sent.empty() || none) return {};
    out_ += ",\"tools\":[";
    for (std::size_t i = 0; i < sent.size(); ++i) {
      if (i > 0) out_ += ',';
      write_tool(request_.tools[sent[i]]);
    }
    out_ += ']';
    return {};
  }

  void write_tool(const chat::Tool& tool) {
    if (!tool.cache_control_json.empty()) losses_.add("cache_control", "Ollama has no cache breakpoints");
    if (tool.strict && *tool.strict) losses_.add("tools[].strict", "Ollama does not hold models to a tool's schema");
    const KnownTool* known = is_function(tool) || !tool.schema_json.empty() ? nullptr : known_tool(tool.type);
    if (known != nullptr) losses_.add("tools[]." + tool.type, "sent as a function with the same inputs");
    out_ += R"({"type":"function","function":{"name":)";
    append_tool_name(out_, tool.name);
    out_ += ",\"description\":";
    json::append_string(out_, known != nullptr && !tool.has_description ? json::TextView(known->description)
                                                                       : json::TextView(tool.description));
    out_ += ",\"parameters\":";
    if (known != nullptr)
      out_ += known->schema_json;
    else if (tool.schema_json.empty())
      out_ += R"({"type":"object","properties":{}})";
    else
      out_ += tool.schema_json;
    out_ += "}}";
    note_tool_members(tool);
  }

  void note_tool_members(const chat::Tool& tool) {
    if (tool.extra_json.empty()) return;
    auto document = json::Document::open_view(tool.extra_json);
    auto members = document ? document->root_object() : Result<json::Object>(document.error());
    while (members && members->next()) losses_.add("tools[]." + std::string(members->key()), "Ollama has no such member");
  }

  /// A model that cannot think refuses `think`, and one that can thinks when nothing is said: so it is only said to those
  /// that want a level (gpt-oss), by clients of this dialect, and to switch thinking off.
  void write_think() {
    const chat::ThinkingMode& thinking = request_.thinking;
    if (thinking.kind == chat::ThinkingKind::kAbsent && request_.effort.empty()) return;
    if (thinking.kind == chat::ThinkingKind::kDisabled || request_.effort == "none") {
      out_ += ",\"think\":false";
      return;
    }
    const std::string_view model = target_.model.empty() ? std::string_view(request_.model) : std::string_view(target_.model);
    const bool takes_level = model.find("gpt-oss") != std::string_view::npos || same_format_;
    if (!request_.effort.empty() && takes_level) {
      static const std::vector<std::string> levels = {"low", "medium", "high", "max"};
      const std::string_view level = accepted_effort(request_.effort, levels);
      if (level != request_.effort) losses_.add("effort", "changed to the nearest level Ollama takes");
      out_.append(",\"think\":\"").append(level).append("\"");
    } else if (same_format_) {
      out_ += ",\"think\":true";
    } else {
      if (!request_.effort.empty()) losses_.add("effort", "this model has no levels of thinking");
      if (thinking.budget_tokens) losses_.add("thinking.budget_tokens", "Ollama has no budget for thinking");
    }
    if (!thinking.display.empty()) losses_.add("thinking.display", "Ollama cannot choose how reasoning is shown");
  }

  void write_format() {
    if (!request_.response_schema_json.empty()) {
      out_.append(",\"format\":").append(request_.response_schema_json);
      note_schema_settings(request_, "Ollama takes the schema alone", losses_);
    } else if (request_.json_object_mode) {
      out_ += ",\"format\":\"json\"";
    }
    if (!request_.user_id.empty()) losses_.add("metadata.user_id", "not told to other providers");
  }

  void write_options() {
    if (request_.max_tokens) {
      option("num_predict");
      options_ += std::to_string(allowed_max_tokens(*request_.max_tokens, target_, losses_));
    }
    if (!target_.sampling && (request_.temperature || request_.top_p || request_.top_k))
      losses_.add("sampling", "this model takes no temperature, top_p or top_k");
    if (target_.sampling) {
      if (request_.temperature) number("temperature", *request_.temperature);
      if (request_.top_p) number("top_p", *request_.top_p);
      if (request_.top_k) {
        option("top_k");
        options_ += std::to_string(*request_.top_k);
      }
    }
    if (!request_.stop_sequences.empty()) {
      option("stop");
      options_ += '[';
      for (std::size_t i = 0; i < request_.stop_sequences.size(); ++i) {
        if (i > 0) options_ += ',';
        json::append_string(options_, request_.stop_sequences[i]);
      }
      options_ += ']';
    }
    if (!options_.empty()) out_.append(",\"options\":{").append(options_, 1).append("}");
  }

  void option(std::string_view name) { options_.append(",\"").append(name).append("\":"); }
  void number(std::string_view name, double value) {
    if (!std::isfinite(value)) return;
    std::array<char, 40> digits;
    const auto written = std::to_chars(digits.data(), digits.data() + digits.size(), value);
    option(name);
    options_.append(digits.data(), written.ptr);
  }

  const chat::Request& request_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  bool same_format_;
  std::string out_;
  std::string extra_;    ///< unmodelled top-level members of an Ollama request, each with its leading comma
  std::string options_;  ///< members of `options`, each with its leading comma
};

}  // namespace

Result<std::string> write_request(const chat::Request& request, const Capabilities& target, chat::LossNotes& losses) {
  return RequestWriter(request, target, losses).write();
}

}  // namespace ccrules::dialect::ollama
