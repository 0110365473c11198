#include "support/responses_validator.h"

#include <algorithm>
#include <set>

#include "support/json_tree.h"

namespace ccrules::test {
namespace {

using Kind = Tree::Kind;

class Judge {
 public:
  explicit Judge(Seen& seen) : seen_(seen) {}

  void need(bool right, const std::string& fault) {
    if (!right) seen_.faults.push_back(fault);
  }

  /// A response object that is over: its items become the blocks.
  void read_response(const Tree& response) {
    seen_.id = response.string("id");
    seen_.model = response.string("model");
    need(seen_.id.starts_with("resp_"), "response.id \"" + seen_.id + "\" does not begin with resp_");
    need(response.string("object") == "response", "response.object must be \"response\"");
    need(response.integer("created_at").has_value(), "response.created_at must be a number");
    need(response.get("error") != nullptr, "response.error must be there");
    const std::string status = response.string("status");
    const Tree* incomplete = response.get("incomplete_details");
    seen_.stop = status;
    if (status == "incomplete") {
      need(incomplete != nullptr && !incomplete->string("reason").empty(), "an incomplete response says why");
      if (incomplete != nullptr) seen_.stop = incomplete->string("reason");
    } else {
      need(status == "completed", "response.status \"" + status + "\"");
      need(incomplete != nullptr && incomplete->is(Kind::kNull), "incomplete_details must be null");
    }
    read_usage(response.get("usage"));
    const Tree* output = response.get("output");
    if (output == nullptr || !output->is(Kind::kArray))
      return need(false, "response.output must be an array");
    std::set<std::string> ids;
    std::set<std::string> call_ids;
    for (const Tree& item : output->items) {
      need(ids.insert(item.string("id")).second, "item id \"" + item.string("id") + "\" is used twice");
      read_item(item, call_ids);
    }
  }

  void read_item(const Tree& item, std::set<std::string>& call_ids) {
    const std::string type = item.string("type");
    SeenBlock block;
    if (type == "message") {
      need(item.string("id").starts_with("msg_"), "a message's id must begin with msg_");
      need(item.string("role") == "assistant", "a message's role must be assistant");
      const Tree* content = item.get("content");
      if (content == nullptr || content->items.empty()) return need(false, "a message without content");
      for (const Tree& part : content->items) {
        need(part.string("type") == "output_text", "part type \"" + part.string("type") + "\"");
        need(part.get("annotations") != nullptr, "an output_text without annotations");
        block.type = "text";
        block.text = part.string("text");
        seen_.blocks.push_back(block);
      }
      return;
    }
    if (type == "reasoning") {
      need(item.string("id").starts_with("rs_"), "a reasoning's id must begin with rs_");
      const Tree* summary = item.get("summary");
      if (summary == nullptr || !summary->is(Kind::kArray))
        return need(false, "reasoning.summary must be an array");
      block.type = "thinking";
      for (const Tree& part : summary->items) {
        need(part.string("type") == "summary_text", "summary type \"" + part.string("type") + "\"");
        block.text += part.string("text");
      }
      block.signature = item.string("encrypted_content");
    } else if (type == "function_call" || type == "custom_tool_call") {
      const bool custom = type == "custom_tool_call";
      need(item.string("id").starts_with(custom ? "ctc_" : "fc_"),
           "a call's id \"" + item.string("id") + "\"");
      block.type = custom ? "custom" : "tool_use";
      block.id = item.string("call_id");
      block.name = item.string("name");
      block.arguments = item.string(custom ? "input" : "arguments");
      need(!block.id.empty() && block.id.size() <= 64, "call_id \"" + block.id + "\"");
      need(call_ids.insert(block.id).second, "call_id \"" + block.id + "\" is used twice");
      need(!block.name.empty(), "a call without a name");
      need(item.get(custom ? "input" : "arguments") != nullptr, "a call without arguments");
    } else {
      block.type = type;
      block.text = compact(item);
      need(!type.empty(), "an item without type");
    }
    seen_.blocks.push_back(std::move(block));
  }

 private:
  void read_usage(const Tree* usage) {
    if (usage == nullptr || !usage->is(Kind::kObject)) return need(false, "response.usage must be an object");
    seen_.input_tokens = usage->integer("input_tokens");
    seen_.output_tokens = usage->integer("output_tokens");
    const Tree* input = usage->get("input_tokens_details");
    const Tree* output = usage->get("output_tokens_details");
    if (input != nullptr) seen_.cache_read_tokens = input->integer("cached_tokens");
    need(seen_.cache_read_tokens.has_value(), "usage.input_tokens_details.cached_tokens must be a number");
    need(output != nullptr && output->integer("reasoning_tokens"),
         "usage.output_tokens_details.reasoning_tokens must be a number");
    need(usage->integer("total_tokens") == seen_.input_tokens.value_or(0) + seen_.output_tokens.value_or(0),
         "usage.total_tokens is not the sum");
    need(seen_.cache_read_tokens.value_or(0) <= seen_.input_tokens.value_or(0),
         "more cached tokens than input");
  }

  Seen& seen_;
};

/// Follows the events as a client does: one open item, its texts growing by deltas.
class ResponsesStream {
 public:
  explicit ResponsesStream(bool may_be_cut) : may_be_cut_(may_be_cut), judge_(seen_) {}

  Seen check(std::string_view sse) {
    bool unfinished = false;
    for (const SseEvent& event : split_sse(sse, &unfinished)) take(event);
    if (unfinished) seen_.faults.emplace_back("the stream ends in half an event");
    if (seen_.ending == Ending::kCut && !may_be_cut_) seen_.faults.emplace_back("the stream was cut");
    return seen_;
  }

 private:
  void take(const SseEvent& event) {
    const auto tree = parse_tree(event.data);
    if (!tree || !tree->is(Kind::kObject)) return judge_.need(false, "an event's data is not a JSON object");
    const std::string type = tree->string("type");
    judge_.need(type == event.name, "event: " + event.name + " with type " + type);
    judge_.need(tree->integer("sequence_number") == sequence_++, type + ": sequence_number");
    if (seen_.ending == Ending::kError)
      return judge_.need(type == "response.failed", type + " after an error");
    judge_.need(seen_.ending == Ending::kCut, type + " after the end");
    if (type == "error") return take_error(*tree);
    if (type == "response.created")
      return judge_.need(sequence_ == 1, "response.created is not the first event");
    judge_.need(sequence_ > 1, type + " before response.created");
    if (type == "response.in_progress") return;
    if (type == "response.completed" || type == "response.incomplete") return take_end(*tree, type);
    judge_.need(tree->integer("output_index") == items_, type + ": output_index");
    if (type == "response.output_item.added") return open(*tree);
    if (type == "response.output_item.done") return close(*tree);
    judge_.need(open_ && tree->string("item_id") == item_id_, type + " outside its item");
    if (type.ends_with("_part.added")) {
      text_.clear();
      judge_.need(!part_open_, type + " inside a part");
      part_open_ = true;
    } else if (type.ends_with("_part.done")) {
      judge_.need(part_open_, type + " without its part");
      part_open_ = false;
    } else if (type.ends_with(".delta")) {
      judge_.need(!tree->string("delta").empty(), type + " without a delta");
      text_ += tree->string("delta");
    } else if (type.ends_with(".done")) {
      const char* member = type == "response.function_call_arguments.done"  ? "arguments"
                           : type == "response.custom_tool_call_input.done" ? "input"
                                                                            : "text";
      judge_.need(tree->string(member) == text_, type + " says something else than its deltas");
    } else {
      judge_.need(false, "the event " + type + " does not exist");
    }
  }

  void take_error(const Tree& tree) {
    seen_.ending = Ending::kError;
    seen_.error_type = tree.string("code");
    seen_.error_message = tree.string("message");
    judge_.need(!seen_.error_type.empty(), "error.code must be a text");
    judge_.need(!seen_.error_message.empty(), "error.message must be a text");
  }

  void open(const Tree& tree) {
    judge_.need(!open_, "an item inside another");
    const Tree* item = tree.get("item");
    if (item == nullptr) return judge_.need(false, "output_item.added without item");
    open_ = true;
    item_id_ = item->string("id");
    text_.clear();
  }

  void close(const Tree& tree) {
    judge_.need(open_ && !part_open_, "output_item.done while something is open");
    open_ = false;
    ++items_;
    const Tree* item = tree.get("item");
    if (item == nullptr) return judge_.need(false, "output_item.done without item");
    judge_.need(item->string("id") == item_id_, "an item changes its id");
    done_.push_back(compact(*item));
  }

  void take_end(const Tree& tree, const std::string& type) {
    seen_.ending = Ending::kClean;
    judge_.need(!open_, type + " while an item is open");
    const Tree* response = tree.get("response");
    if (response == nullptr) return judge_.need(false, type + " without response");
    judge_.read_response(*response);
    judge_.need(type == "response." + response->string("status"), type + " with another status");
    std::vector<std::string> output;
    if (const Tree* items = response->get("output")) {
      for (const Tree& item : items->items) output.push_back(compact(item));
    }
    judge_.need(output == done_, type + ": its output is not what was told");
  }

  bool may_be_cut_;
  Seen seen_;
  Judge judge_;
  std::int64_t sequence_ = 0;
  std::int64_t items_ = 0;
  bool open_ = false;
  bool part_open_ = false;
  std::string item_id_;
  std::string text_;
  std::vector<std::string> done_;
};

}  // namespace

Seen check_responses_stream(std::string_view sse, bool may_be_cut) {
  return ResponsesStream(may_be_cut).check(sse);
}

Seen check_responses_reply(std::string_view json) {
  Seen seen;
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) {
    seen.faults.emplace_back("the reply is not a JSON object");
    return seen;
  }
  Judge(seen).read_response(*tree);
  seen.ending = Ending::kClean;
  return seen;
}

std::vector<std::string> check_responses_request(std::string_view json) {
  std::vector<std::string> faults;
  const auto need = [&](bool right, const std::string& fault) {
    if (!right) faults.push_back(fault);
  };
  const auto tree = parse_tree(json);
  if (!tree || !tree->is(Kind::kObject)) return {"the request is not a JSON object"};
  need(!tree->string("model").empty(), "model is missing");
  for (const char* foreign : {"messages", "system", "max_tokens", "stop", "top_k", "thinking",
                              "response_format", "reasoning_effort", "stop_sequences"}) {
    need(tree->get(foreign) == nullptr, std::string(foreign) + " is no member of this dialect");
  }
  const Tree* input = tree->get("input");
  if (input == nullptr || input->items.empty()) return {"input must be a non-empty array"};
  std::set<std::string> asked;
  bool reasoned = false;
  for (std::size_t i = 0; i < input->items.size(); ++i) {
    const Tree& item = input->items[i];
    const std::string type = item.string("type");
    const std::string where = "input[" + std::to_string(i) + "]";
    const bool said = (type == "message" && item.string("role") == "assistant") || type.ends_with("_call");
    if (reasoned && type != "reasoning") need(said, where + ": the reasoning before it led to nothing");
    reasoned = type == "reasoning";
    if (type == "message") {
      const Tree* content = item.get("content");
      need(content != nullptr, where + " has no content");
      if (content == nullptr) continue;
      need(!content->is(Kind::kString) || !content->text.empty(), where + ".content is empty");
      need(!content->is(Kind::kArray) || !content->items.empty(), where + ".content is empty");
      for (const Tree& part : content->items) {
        const std::string kind = part.string("type");
        need(kind.starts_with("input_") || kind.starts_with("output_") || kind == "refusal",
             where + ": part type \"" + kind + "\"");
      }
    } else if (type == "function_call" || type == "custom_tool_call") {
      const std::string id = item.string("call_id");
      need(!id.empty() && id.size() <= 64, where + ".call_id \"" + id + "\"");
      need(asked.insert(id).second, where + ": call_id \"" + id + "\" twice");
      const Tree* text = item.get(type == "function_call" ? "arguments" : "input");
      need(text != nullptr && text->is(Kind::kString), where + ": arguments must be a string");
      need(!item.string("name").empty(), where + ".name is missing");
      need(item.get("id") == nullptr || item.string("id").starts_with("fc"),
           where + ".id must begin with fc");
    } else if (type == "function_call_output" || type == "custom_tool_call_output") {
      need(asked.erase(item.string("call_id")) == 1, where + ": an output without its call");
      need(item.get("output") != nullptr, where + " has no output");
    }
  }
  need(!reasoned, "the last item is reasoning");
  need(asked.empty() || input->items.back().string("type").ends_with("_call"), "a call without an output");
  if (const Tree* tools = tree->get("tools")) {
    need(!tools->items.empty(), "tools is empty");
    for (const Tree& tool : tools->items) {
      if (tool.string("type") != "function") continue;
      const std::string name = tool.string("name");
      const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
               c == '-';
      });
      need(!name.empty() && name.size() <= 64 && plain, "tool name \"" + name + "\"");
      need(tool.get("parameters") != nullptr && tool.get("strict") != nullptr,
           name + ": parameters and strict are said");
    }
  } else {
    need(tree->get("tool_choice") == nullptr, "tool_choice without tools");
  }
  return faults;
}

}  // namespace ccrules::test
