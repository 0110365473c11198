#include "dialect/openai_chat/reasoning_writer.h"

#include <algorithm>
#include <string_view>

#include "core/json.h"
#include "dialect/fit.h"

namespace ccrules::dialect::openai {
namespace {

class ReasoningWriter {
 public:
  ReasoningWriter(std::string& out, const chat::Request& request, const Capabilities& target, chat::LossNotes& losses)
      : out_(out),
        target_(target),
        losses_(losses),
        style_(target.reasoning_style),
        kind_(request.thinking.kind),
        budget_(request.thinking.budget_tokens),
        effort_(request.effort),
        slug_(request.effort.empty() ? "thinking" : "effort") {}

  void write(bool with_tools, std::optional<std::int64_t> max_tokens) {
    if (kind_ == chat::ThinkingKind::kBetweenTools)
      losses_.add("thinking.between_tools", "chat completions have no such thinking");
    bool off = kind_ == chat::ThinkingKind::kDisabled || effort_ == "none";
    if (off && !target_.thinking_disabled) {
      off = false;
      effort_ = "low";
      budget_.reset();
      losses_.add("thinking.disabled", "the model always thinks; its effort is set to low");
    }
    if (style_.empty() || style_ == "effort") return write_effort_alone(off, with_tools);
    if (off) return write_off();
    if (kind_ != chat::ThinkingKind::kEnabled && effort_.empty()) return;  // as the model sees fit
    if (style_ == "reasoning") return write_reasoning(max_tokens);
    write_switch(true);
    if (style_ == "enable_thinking") {
      if (budget_) write_integer("thinking_budget", *budget_);
      note_effort();
    } else if (target_.reasoning_effort) {
      write_effort();
    } else {
      note_effort();
      if (budget_) losses_.add("thinking.budget_tokens", "the provider only switches reasoning on and off");
    }
  }

 private:
  /// A style without a switch: everything is said by reasoning_effort, also that there shall be none.
  void write_effort_alone(bool off, bool with_tools) {
    if (off) {
      effort_ = "none";
    } else if (effort_.empty() && kind_ == chat::ThinkingKind::kEnabled && budget_) {
      effort_ = effort_for_budget(*budget_, target_.efforts);
    }
    if (target_.tools_need_no_effort && with_tools) {  // silence would mean the model's default effort
      if (!effort_.empty() && effort_ != "none") losses_.add(std::string(slug_), "this model does not reason with tools");
      return write_string("reasoning_effort", "none");
    }
    if (budget_) losses_.add("thinking.budget_tokens", "sent as a reasoning effort");
    if (effort_.empty()) return;
    if (!target_.reasoning_effort) {
      losses_.add(std::string(slug_), "this model takes no reasoning effort");
      return;
    }
    const std::string_view accepted = accepted_word();
    if (!accepted.empty()) write_string("reasoning_effort", accepted);
  }

  void write_off() {
    if (style_ == "reasoning") {
      out_ += R"(,"reasoning":{"enabled":false})";
    } else {
      write_switch(false);
    }
  }

  void write_switch(bool on) {
    if (style_ == "enable_thinking") {
      out_ += on ? R"(,"enable_thinking":true)" : R"(,"enable_thinking":false)";
    } else if (style_ == "reasoning_enabled") {
      out_ += on ? R"(,"reasoning":{"enabled":true})" : R"(,"reasoning":{"enabled":false})";
    } else if (style_ == "chat_template") {
      out_ += on ? R"(,"chat_template_kwargs":{"enable_thinking":true})" : R"(,"chat_template_kwargs":{"enable_thinking":false})";
    } else if (!on) {
      out_ += R"(,"thinking":{"type":"disabled"})";
    } else {
      out_ += style_ == "thinking_kept" ? R"(,"thinking":{"type":"enabled","clear_thinking":false})" : R"(,"thinking":{"type":"enabled"})";
    }
  }

  /// One object for all: an effort or a budget, not both.
  void write_reasoning(std::optional<std::int64_t> max_tokens) {
    if (!target_.reasoning_effort) {
      losses_.add(std::string(slug_), "this model takes no reasoning effort");
      return;
    }
    const bool by_budget = effort_.empty() && budget_ && target_.thinking_enabled;
    if (!by_budget && budget_) {
      if (effort_.empty()) effort_ = effort_for_budget(*budget_, target_.efforts);
      losses_.add("thinking.budget_tokens", "sent as a reasoning effort");
    }
    out_ += ",\"reasoning\":{";
    if (by_budget) {
      std::int64_t budget = *budget_;
      if (max_tokens && budget >= *max_tokens) {
        budget = std::max<std::int64_t>(*max_tokens - 1, 1);
        losses_.add("thinking.budget_tokens", "lowered below max_tokens");
      }
      out_ += "\"max_tokens\":" + std::to_string(budget);
    } else if (const std::string_view accepted = effort_.empty() ? effort_ : accepted_word(); !accepted.empty()) {
      out_ += "\"effort\":";
      json::append_string(out_, accepted);
    } else {
      out_ += "\"enabled\":true";
    }
    out_ += '}';
  }

  /// reasoning_effort beside a switch.
  void write_effort() {
    if (budget_) {
      if (effort_.empty()) effort_ = effort_for_budget(*budget_, target_.efforts);
      losses_.add("thinking.budget_tokens", "sent as a reasoning effort");
    }
    if (effort_.empty()) return;
    if (const std::string_view accepted = accepted_word(); !accepted.empty()) write_string("reasoning_effort", accepted);
  }

  void note_effort() {
    if (!effort_.empty()) losses_.add("effort", "the provider only switches reasoning on and off");
  }

  std::string_view accepted_word() {
    const std::string_view accepted = accepted_effort(effort_, target_.efforts);
    if (accepted != effort_) losses_.add(std::string(slug_), "changed to the nearest effort this model takes");
    return accepted;
  }

  void write_string(std::string_view name, std::string_view text) {
    out_.append(",\"").append(name).append("\":");
    json::append_string(out_, text);
  }
  void write_integer(std::string_view name, std::int64_t number) {
    out_.append(",\"").append(name).append("\":").append(std::to_string(number));
  }

  std::string& out_;
  const Capabilities& target_;
  chat::LossNotes& losses_;
  std::string_view style_;
  chat::ThinkingKind kind_;
  std::optional<std::int64_t> budget_;
  std::string_view effort_;
  std::string_view slug_;  ///< what the client has asked with
};

}  // namespace

void append_reasoning(std::string& out, const chat::Request& request, std::optional<std::int64_t> max_tokens, const Capabilities& target,
                      chat::LossNotes& losses) {
  ReasoningWriter(out, request, target, losses).write(!request.tools.empty(), max_tokens);
}

}  // namespace ccrules::dialect::openai
