#include <algorithm>
#include <utility>

#include "core/limits.h"
#include "core/splice.h"
#include "core/sse.h"
#include "dialect/anthropic/parts.h"
#include "dialect/broken.h"
#include "dialect/call_ids.h"
#include "dialect/data_lines.h"
#include "dialect/failure.h"
#include "dialect/tools.h"
#include "dialect/unstreamed.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

constexpr std::string_view kCheck = "check that its base_url is an Anthropic Messages API";

Error protocol_error(std::string what) {
  return broken_stream("is not a valid Anthropic stream: " + std::move(what));
}

/// What opens a block, as content_block_start says it.
struct OpenedBlock {
  std::string type;
  std::string json;  ///< the block, verbatim
  std::string text;  ///< text, thinking or data it already holds
  std::string signature;
  std::string id;
  std::string name;
  std::string input_json;  ///< "" when absent or {}
  std::string extra_json;
};

/// A delta, as content_block_delta says it. Views live as long as the event's document.
struct Delta {
  std::string_view type;
  std::string_view text;  ///< text, thinking, signature or partial_json
  std::string_view json;  ///< the whole delta, verbatim
};

/// Members that a block's own deltas or the neutral model carry; the others are kept as they are.
bool is_modelled(std::string_view block_type, std::string_view member) {
  if (member == "type") return true;
  if (block_type == "text") return member == "text" || member == "citations";
  if (block_type == "thinking") return member == "thinking" || member == "signature";
  if (block_type == "tool_use") return member == "id" || member == "name" || member == "input";
  return false;
}

Result<OpenedBlock> read_opened_block(json::Value& value) {
  OpenedBlock opened;
  opened.type = std::string(value.peek_string("type").value_or(std::string_view()));
  CCR_TRY(json, value.raw());
  opened.json = json;
  CCR_TRY(document, json::Document::open_view(json));
  CCR_TRY(block, document.root_object());
  while (block.next()) {
    const std::string_view key = block.key();
    json::Value& member = block.value();
    if (!is_modelled(opened.type, key)) {
      const std::string name(key);
      CCR_TRY(raw, member.raw());
      keep_member(opened.extra_json, name, raw);
    } else if (key == "input") {
      CCR_TRY(raw, member.raw());
      const std::string input = json::compact(raw);
      if (input != "{}" && input != "null") opened.input_json = input;
    } else if (member.is(json::Type::kString)) {
      CCR_TRY(text, member.string());
      if (key == "text" || key == "thinking") opened.text = text;
      if (key == "signature") opened.signature = text;
      if (key == "id") opened.id = text;
      if (key == "name") opened.name = text;
    }
  }
  CCR_CHECK(block.done());
  return opened;
}

Result<Delta> read_delta(json::Value& value) {
  Delta delta;
  delta.type = value.peek_string("type").value_or(std::string_view());
  const std::string_view member = delta.type == "text_delta"         ? "text"
                                  : delta.type == "thinking_delta"   ? "thinking"
                                  : delta.type == "signature_delta"  ? "signature"
                                  : delta.type == "input_json_delta" ? "partial_json"
                                                                     : "";
  if (member.empty()) {
    CCR_TRY(json, value.raw());
    delta.json = json;
    return delta;
  }
  CCR_TRY(object, value.object());
  while (object.next()) {
    if (object.key() != member || !object.value().is(json::Type::kString)) continue;
    CCR_TRY(text, object.value().string());
    delta.text = text;
  }
  CCR_CHECK(object.done());
  return delta;
}

/// Reads every event into the neutral model. Tolerant where the meaning is clear (a missing start, a missing
/// stop of a block, a delta whose kind does not fit the open block), strict where text could be lost.
class Reader : public StreamReader {
 public:
  Reader(bool listen, const ReaderOptions& options) : listen_(listen), seed_(options.seed), renamed_tools_(options.renamed_tools) {}

  Result<void> feed(std::string_view bytes, std::vector<chat::Event>& out) override {
    CCR_TRY(kept, body_.take(bytes));
    if (kept) return {};
    return each_event(decoder_, bytes, [this] { return ended_; }, [this, &out](const sse::Event& event) { return take(event, out); });
  }

  Result<void> finish(std::vector<chat::Event>& out) override {
    if (body_.came()) return finish_body(out);
    sse::Event event;
    if (decoder_.finish(event)) {
      // A last event without its blank line counts when it is whole; half of one is a cut like any other.
      DataLines lines(event.data);
      for (std::string_view json; lines.next(json) && !ended_ && json::is_valid(json);)
        CCR_CHECK(take_data(event.name, json, out));
    }
    return cut(out);
  }

  [[nodiscard]] bool ended() const override { return ended_; }
  [[nodiscard]] std::int64_t passed_over_bytes() const override { return passed_over_bytes_; }

 private:
  enum class Kind : std::uint8_t { kNone, kText, kThinking, kTool, kOpaque };

  Result<void> finish_body(std::vector<chat::Event>& out) {
    if (ended_) return {};
    ended_ = true;
    auto reply = read_reply(body_.text(), ReaderOptions{});
    if (reply.ok()) {
      for (chat::Event& event : chat::unroll(*reply)) out.push_back(std::move(event));
      return {};
    }
    out.emplace_back(not_an_answer(body_.text(), {}));
    return {};
  }

  Result<void> cut(std::vector<chat::Event>& out) {
    if (ended_) return {};
    ended_ = true;
    if (!started_ && !body_.strange().empty()) {
      out.emplace_back(cut_stream(false, body_));
      return {};
    }
    chat::StreamError error;
    error.type = "api_error";
    error.message = started_ ? "the provider's stream was cut before its end: the answer is incomplete"
                             : "the provider's stream ended before it began";
    error.cut = true;
    out.emplace_back(std::move(error));
    return {};
  }

  Result<void> take(const sse::Event& event, std::vector<chat::Event>& out) {
    if (event.data.empty()) return {};
    if (listen_) {
      // Most events of a stream: nobody reads what is in them.
      if (event.name == "content_block_delta") {
        pass_over(event.data);
        return {};
      }
      if (event.name == "content_block_start") {
        listen_open(out);
        return {};
      }
      if (event.name == "content_block_stop") {
        close_block(out);
        return {};
      }
    }
    DataLines lines(event.data);
    for (std::string_view json; lines.next(json) && !ended_;) CCR_CHECK(take_data(event.name, json, out));
    return {};
  }

  /// What stands around the text is about the same in each.
  void pass_over(std::string_view delta_json) {
    constexpr std::string_view kAround = R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}})";
    passed_over_bytes_ += static_cast<std::int64_t>(std::max(delta_json.size(), kAround.size() + 1) - kAround.size());
  }

  Result<void> take_data(std::string_view name, std::string_view json, std::vector<chat::Event>& out) {
    if (json == "[DONE]") return {};
    auto document = json::Document::open_view(json);
    if (!document.ok()) return not_json(json, kCheck);
    auto taken = take_json(*document, name, out);
    if (taken.ok()) taken = document->at_end();
    if (taken.ok() || taken.error().origin != Origin::kClient) return taken;
    return json::is_valid(json) ? protocol_error(taken.error().message) : not_json(json, kCheck);
  }

  Result<void> take_json(json::Document& document, std::string_view name, std::vector<chat::Event>& out) {
    CCR_TRY(root_value, document.root());
    const std::string_view type = root_value.peek_string("type").value_or(name);
    CCR_TRY(root, root_value.object());
    if (type == "content_block_delta" && listen_) {
      pass_over(document.text());
      return root.done();
    }
    if (type == "content_block_delta") return take_delta(root, out);
    if (type == "content_block_start") return take_block_start(root, out);
    if (type == "content_block_stop") {
      CCR_CHECK(root.done());
      close_block(out);
      return {};
    }
    if (type == "message_start") return take_message_start(root, out);
    if (type == "message_delta") return take_message_delta(root);
    if (type == "message_stop") {
      CCR_CHECK(root.done());
      end_message(out);
      return {};
    }
    if (type == "ping") {
      CCR_CHECK(root.done());
      out.emplace_back(chat::Ping{});
      return {};
    }
    if (type == "error" || name == "error") {
      CCR_CHECK(root.done());
      ended_ = true;
      out.emplace_back(stream_error(document.text(), {}));
      return {};
    }
    return root.done();  // an event of a later version: clients skip it too
  }

  Result<void> take_message_start(json::Object& root, std::vector<chat::Event>& out) {
    chat::MessageStart start;
    while (root.next()) {
      if (root.key() != "message" || !root.value().is(json::Type::kObject)) continue;
      CCR_TRY(message, root.value().object());
      while (message.next()) {
        json::Value& value = message.value();
        if (message.key() == "usage") {
          CCR_TRY(usage, read_usage(value));
          start.usage = usage;
        } else if (message.key() == "id" && value.is(json::Type::kString)) {
          CCR_TRY(id, value.string());
          start.id = id;
        } else if (message.key() == "model" && value.is(json::Type::kString)) {
          CCR_TRY(model, value.string());
          start.model = model;
        }
      }
      CCR_CHECK(message.done());
    }
    CCR_CHECK(root.done());
    usage_.merge(start.usage);
    if (started_) return {};  // a second start says nothing new (G-26)
    started_ = true;
    out.emplace_back(std::move(start));
    return {};
  }

  void ensure_started(std::vector<chat::Event>& out) {
    if (started_) return;
    started_ = true;
    out.emplace_back(chat::MessageStart{});
  }

  Result<void> take_message_delta(json::Object& root) {
    while (root.next()) {
      if (root.key() == "usage") {
        CCR_TRY(usage, read_usage(root.value()));
        usage_.merge(usage);
        continue;
      }
      if (root.key() != "delta" || !root.value().is(json::Type::kObject)) continue;
      CCR_TRY(delta, root.value().object());
      while (delta.next()) {
        json::Value& value = delta.value();
        if (value.is_null()) continue;
        if (delta.key() == "stop_reason") {
          CCR_TRY(word, value.string());
          stop_reason_ = stop_reason_from(word);
        } else if (delta.key() == "stop_sequence") {
          CCR_TRY(text, value.string());
          stop_sequence_ = text;
        } else if (delta.key() == "stop_details") {
          CCR_TRY(raw, value.raw());
          stop_details_json_ = raw;
        }
      }
      CCR_CHECK(delta.done());
    }
    return root.done();
  }

  void end_message(std::vector<chat::Event>& out) {
    ensure_started(out);
    close_block(out);
    chat::MessageEnd end;
    end.reason = stop_reason_.value_or(saw_tool_ ? chat::StopReason::kToolUse : chat::StopReason::kOther);
    end.stop_sequence = std::move(stop_sequence_);
    end.stop_details_json = std::move(stop_details_json_);
    end.usage = usage_;
    note_refusal(end.reason, end.usage);
    ended_ = true;
    out.emplace_back(std::move(end));
  }

  void listen_open(std::vector<chat::Event>& out) {
    ensure_started(out);
    close_block(out);
    kind_ = Kind::kText;
    out.emplace_back(chat::BlockStart{next_index_, {}});
  }

  Result<void> take_block_start(json::Object& root, std::vector<chat::Event>& out) {
    if (listen_) {
      listen_open(out);
      return root.done();
    }
    ensure_started(out);
    close_block(out);
    std::optional<std::int64_t> index;
    OpenedBlock opened;
    while (root.next()) {
      if (root.key() == "index" && root.value().is(json::Type::kNumber)) {
        CCR_TRY(number, root.value().integer());
        index = number;
      } else if (root.key() == "content_block") {
        CCR_TRY(block, read_opened_block(root.value()));
        opened = std::move(block);
      }
    }
    CCR_CHECK(root.done());
    upstream_index_ = index;
    open_block(std::move(opened), out);
    return {};
  }

  void open_block(OpenedBlock opened, std::vector<chat::Event>& out) {
    chat::BlockStart start;
    start.index = next_index_;
    if (opened.type == "text") {
      kind_ = Kind::kText;
      chat::Text text;
      text.extra_json = std::move(opened.extra_json);
      start.block.value = std::move(text);
    } else if (opened.type == "thinking") {
      kind_ = Kind::kThinking;
      start.block.value = chat::Thinking{};
    } else if (opened.type == "tool_use") {
      kind_ = Kind::kTool;
      saw_tool_ = true;
      if (opened.name.empty()) {
        ended_ = true;
        out.emplace_back(unnamed_call());
        return;
      }
      chat::ToolCall call;
      call.id = opened.id.empty() ? made_call_id(opened.name, next_index_, seed_) : std::move(opened.id);
      call.name = std::move(opened.name);
      restore_name(renamed_tools_, call.name);
      call.extra_json = std::move(opened.extra_json);
      start.block.value = std::move(call);
      held_input_json_ = std::move(opened.input_json);
    } else {
      // Grows by deltas only its own dialect understands: handed out whole when it closes.
      kind_ = Kind::kOpaque;
      opaque_type_ = std::move(opened.type);
      opaque_json_ = std::move(opened.json);
      opaque_input_json_.clear();
      return;
    }
    out.emplace_back(std::move(start));
    if (kind_ != Kind::kTool) {
      add_delta(kind_ == Kind::kText ? chat::DeltaKind::kText : chat::DeltaKind::kThinking, opened.text, out);
      add_delta(chat::DeltaKind::kSignature, opened.signature, out);
    }
  }

  void add_delta(chat::DeltaKind kind, std::string_view text, std::vector<chat::Event>& out) {
    if (text.empty()) return;
    chat::BlockDelta delta;
    delta.index = next_index_;
    delta.kind = kind;
    delta.text = text;
    out.emplace_back(std::move(delta));
  }

  Result<void> take_delta(json::Object& root, std::vector<chat::Event>& out) {
    std::optional<std::int64_t> index;
    Delta delta;
    while (root.next()) {
      if (root.key() == "index" && root.value().is(json::Type::kNumber)) {
        CCR_TRY(number, root.value().integer());
        index = number;
      } else if (root.key() == "delta" && root.value().is(json::Type::kObject)) {
        CCR_TRY(read, read_delta(root.value()));
        delta = read;
      }
    }
    CCR_CHECK(root.done());
    if (kind_ != Kind::kNone && index && upstream_index_ && *index != *upstream_index_) {
      return protocol_error("a delta for block " + std::to_string(*index) + " came while block " +
                            std::to_string(*upstream_index_) + " was open");
    }
    return apply(delta, out);
  }

  Result<void> apply(const Delta& delta, std::vector<chat::Event>& out) {
    if (kind_ == Kind::kOpaque) return grow_opaque(delta);
    if (delta.type == "text_delta") {
      if (delta.text.empty()) return {};
      ensure_open(Kind::kText, out);
      add_delta(chat::DeltaKind::kText, delta.text, out);
    } else if (delta.type == "thinking_delta" || delta.type == "signature_delta") {
      if (delta.text.empty()) return {};
      ensure_open(Kind::kThinking, out);
      add_delta(delta.type == "thinking_delta" ? chat::DeltaKind::kThinking : chat::DeltaKind::kSignature,
                delta.text, out);
    } else if (delta.type == "input_json_delta") {
      if (kind_ != Kind::kTool) return protocol_error("tool arguments came without a tool_use block");
      if (!delta.text.empty()) held_input_json_.clear();
      add_delta(chat::DeltaKind::kArguments, delta.text, out);
    } else if (kind_ != Kind::kNone) {
      add_delta(chat::DeltaKind::kOpaque, delta.json, out);
    }
    return {};
  }

  /// A delta that does not fit the open block gets a block of its own: nothing is lost (G-26).
  void ensure_open(Kind kind, std::vector<chat::Event>& out) {
    if (kind_ == kind) return;
    ensure_started(out);
    close_block(out);
    upstream_index_.reset();
    OpenedBlock opened;
    opened.type = kind == Kind::kText ? "text" : "thinking";
    open_block(std::move(opened), out);
  }

  Result<void> grow_opaque(const Delta& delta) {
    if (delta.type == "input_json_delta") {
      if (opaque_input_json_.size() + delta.text.size() > limits::kSseEventBytes) return sse::too_large();
      opaque_input_json_ += delta.text;
      return {};
    }
    if (delta.json.empty()) return {};
    // compaction_delta and its like: the delta's members are the block's members.
    CCR_TRY(document, json::Document::open_view(delta.json));
    CCR_TRY(members, document.root_object());
    std::vector<json::Edit> edits;
    while (members.next()) {
      if (members.key() == "type") continue;
      json::Edit edit;
      edit.path.emplace_back(members.key());
      CCR_TRY(raw, members.value().raw());
      edit.value_json = raw;
      edits.push_back(std::move(edit));
    }
    CCR_CHECK(members.done());
    CCR_TRY(grown, json::splice(opaque_json_, edits));
    if (grown.size() > limits::kSseEventBytes) return sse::too_large();
    opaque_json_ = std::move(grown);
    return {};
  }

  void close_block(std::vector<chat::Event>& out) {
    if (kind_ == Kind::kNone) return;
    if (kind_ == Kind::kTool && !held_input_json_.empty()) {
      add_delta(chat::DeltaKind::kArguments, std::exchange(held_input_json_, {}), out);
    }
    if (kind_ == Kind::kOpaque) open_opaque(out);
    kind_ = Kind::kNone;
    upstream_index_.reset();
    out.emplace_back(chat::BlockEnd{next_index_++});
  }

  void open_opaque(std::vector<chat::Event>& out) {
    if (!opaque_input_json_.empty() && json::is_valid(opaque_input_json_)) {
      json::Edit edit;
      edit.path.emplace_back("input");
      edit.value_json = opaque_input_json_;
      if (auto whole = json::splice(opaque_json_, {edit}); whole.ok()) opaque_json_ = *std::move(whole);
    }
    chat::BlockStart start;
    start.index = next_index_;
    if (opaque_type_ == "redacted_thinking") {
      start.block.value = redacted_thinking();
    } else {
      chat::Opaque opaque;
      opaque.dialect = kName;
      opaque.type = std::move(opaque_type_);
      opaque.json = std::move(opaque_json_);
      start.block.value = std::move(opaque);
    }
    out.emplace_back(std::move(start));
  }

  chat::Thinking redacted_thinking() {
    chat::Thinking thinking;
    thinking.redacted = true;
    auto document = json::Document::open_view(opaque_json_);
    if (!document.ok()) return thinking;
    auto root = document->root_object();
    while (root.ok() && root->next()) {
      if (root->key() != "data") continue;
      if (const auto text = root->value().string(); text.ok()) thinking.text = *text;
    }
    return thinking;
  }

  const bool listen_;
  const std::uint64_t seed_;  ///< makes ids for calls without one
  const std::vector<RenamedTool> renamed_tools_;
  sse::Decoder decoder_;
  UnstreamedBody body_;
  bool started_ = false;
  bool ended_ = false;
  std::int64_t passed_over_bytes_ = 0;
  bool saw_tool_ = false;
  Kind kind_ = Kind::kNone;
  std::uint32_t next_index_ = 0;
  std::optional<std::int64_t> upstream_index_;
  std::string held_input_json_;  ///< a call's input that came with its start; counts when no delta follows
  std::string opaque_type_;
  std::string opaque_json_;
  std::string opaque_input_json_;
  chat::Usage usage_;
  std::optional<chat::StopReason> stop_reason_;
  std::string stop_sequence_;
  std::string stop_details_json_;
};

}  // namespace

std::unique_ptr<StreamReader> make_stream_reader(const ReaderOptions& options) {
  return std::make_unique<Reader>(false, options);
}
std::unique_ptr<StreamReader> make_stream_listener() {
  return std::make_unique<Reader>(true, ReaderOptions{});
}

}  // namespace ccrules::dialect::anthropic_messages
