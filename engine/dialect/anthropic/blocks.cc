#include <utility>

#include "dialect/anthropic/parts.h"

namespace ccrules::dialect::anthropic_messages {
namespace {

using json::Type;

constexpr std::size_t kUsualBlocks = 2;  ///< of a message: words and a call, a result and words

Result<void> take_raw(json::Value& value, std::string& out) {
  if (value.is_null()) return {};
  CCR_TRY(raw, value.raw());
  out = raw;
  return {};
}

Result<void> read_text(json::Value& value, chat::Text& text) {
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "text") {
      CCR_TRY(words, object.value().text());
      text.text = std::move(words);
    } else if (key == "cache_control") {
      CCR_CHECK(take_raw(object.value(), text.cache_control_json));
    } else if (key == "citations") {
      std::string citations;
      CCR_CHECK(take_raw(object.value(), citations));
      if (!citations.empty() && json::compact(citations) != "[]")
        keep_member(text.extra_json, "citations", citations);
    } else if (key != "type") {
      CCR_CHECK(keep(object, text.extra_json));
    }
  }
  return object.done();
}

Result<void> read_thinking(json::Value& value, bool redacted, chat::Thinking& thinking) {
  thinking.redacted = redacted;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == (redacted ? "data" : "thinking")) {
      CCR_CHECK(take(object.value(), thinking.text));
    } else if (key == "signature" && !redacted) {
      CCR_CHECK(take(object.value(), thinking.signature));
    }
  }
  return object.done();
}

/// Where an image's or a document's bytes are.
struct Source {
  std::string type;
  std::string media_type;
  std::string data;
  std::string blocks_json;
};

Result<Source> read_source(json::Value& value) {
  Source source;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "type") {
      CCR_CHECK(take(object.value(), source.type));
    } else if (key == "media_type") {
      CCR_CHECK(take(object.value(), source.media_type));
    } else if (key == "data" || key == "url" || key == "file_id") {
      CCR_CHECK(take(object.value(), source.data));
    } else if (key == "content") {
      CCR_CHECK(take_raw(object.value(), source.blocks_json));
    }
  }
  CCR_CHECK(object.done());
  return source;
}

std::optional<chat::SourceKind> source_kind(std::string_view type) {
  if (type == "base64") return chat::SourceKind::kBase64;
  if (type == "url") return chat::SourceKind::kUrl;
  if (type == "file") return chat::SourceKind::kFile;
  if (type == "text") return chat::SourceKind::kText;
  if (type == "content") return chat::SourceKind::kBlocks;
  return std::nullopt;
}

Result<void> read_image(json::Value& value, chat::Image& image) {
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "source") {
      CCR_TRY(source, read_source(object.value()));
      image.kind = source_kind(source.type).value_or(chat::SourceKind::kBase64);
      image.media_type = std::move(source.media_type);
      image.data = std::move(source.data);
    } else if (key == "cache_control") {
      CCR_CHECK(take_raw(object.value(), image.cache_control_json));
    } else if (key != "type") {
      CCR_CHECK(keep(object, image.extra_json));
    }
  }
  return object.done();
}

Result<void> read_document(json::Value& value, chat::Document& document) {
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "source") {
      CCR_TRY(source, read_source(object.value()));
      document.kind = source_kind(source.type).value_or(chat::SourceKind::kBase64);
      document.media_type = std::move(source.media_type);
      document.data = std::move(source.data);
      document.blocks_json = std::move(source.blocks_json);
    } else if (key == "title") {
      CCR_CHECK(take(object.value(), document.title));
    } else if (key == "context") {
      CCR_CHECK(take(object.value(), document.context));
    } else if (key == "cache_control") {
      CCR_CHECK(take_raw(object.value(), document.cache_control_json));
    } else if (key != "type") {
      CCR_CHECK(keep(object, document.extra_json));
    }
  }
  return object.done();
}

Result<void> read_tool_call(json::Value& value, chat::ToolCall& call) {
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "id") {
      CCR_CHECK(take(object.value(), call.id));
    } else if (key == "name") {
      CCR_CHECK(take(object.value(), call.name));
    } else if (key == "input") {
      CCR_CHECK(take_raw(object.value(), call.arguments_json));
    } else if (key == "cache_control") {
      CCR_CHECK(take_raw(object.value(), call.cache_control_json));
    } else if (key != "type") {
      CCR_CHECK(keep(object, call.extra_json));
    }
  }
  CCR_CHECK(object.done());
  if (call.arguments_json.empty()) call.arguments_json = "{}";
  return {};
}

/// A tool's answer: content as everywhere, and what careless clients put there instead (null, 42, {...}) as
/// its JSON text.
Result<void> read_result_content(json::Value& value, std::vector<chat::Block>& blocks) {
  if (value.is(Type::kString) || value.is(Type::kArray)) {
    bool plain_string = false;
    return read_content(value, blocks, plain_string);
  }
  CCR_TRY(raw, value.raw());
  blocks.clear();
  chat::add_block<chat::Text>(blocks).text = json::compact(raw);
  return {};
}

Result<void> read_tool_result(json::Value& value, chat::ToolResult& result) {
  result.content_absent = true;
  CCR_TRY(object, value.object());
  while (object.next()) {
    const std::string_view key = object.key();
    if (key == "tool_use_id") {
      CCR_CHECK(take(object.value(), result.call_id));
    } else if (key == "content") {
      CCR_CHECK(read_result_content(object.value(), result.content));
      result.content_absent = false;
    } else if (key == "is_error") {
      if (object.value().is_null()) continue;
      CCR_TRY(is_error, object.value().boolean());
      result.is_error = is_error;
    } else if (key == "cache_control") {
      CCR_CHECK(take_raw(object.value(), result.cache_control_json));
    } else if (key != "type") {
      CCR_CHECK(keep(object, result.extra_json));
    }
  }
  return object.done();
}

Result<void> read_opaque(json::Value& value, std::string_view type, chat::Opaque& opaque) {
  opaque.dialect = kName;
  opaque.type = type;
  CCR_TRY(raw, value.raw());
  opaque.json = raw;
  return {};
}

/// A source of another kind keeps its block verbatim.
bool has_known_source(const json::Value& value, std::string_view block_type) {
  const auto source = value.peek("source");
  if (!source) return false;
  const auto kind = source_kind(source->peek_string("type").value_or(std::string_view()));
  if (!kind) return false;
  return block_type == "document" || *kind == chat::SourceKind::kBase64 || *kind == chat::SourceKind::kUrl ||
         *kind == chat::SourceKind::kFile;
}

// --- writing

void write_cache_control(json::Writer& writer, const std::string& cache_control_json) {
  if (!cache_control_json.empty()) writer.member_raw("cache_control", cache_control_json);
}

void write_source(json::Writer& writer, chat::SourceKind kind, const std::string& media_type,
                  const std::string& data, const std::string& blocks_json) {
  writer.key("source").begin_object();
  switch (kind) {
    case chat::SourceKind::kBase64:
      writer.member("type", "base64").member("media_type", media_type).member("data", data);
      break;
    case chat::SourceKind::kUrl:
      writer.member("type", "url").member("url", data);
      break;
    case chat::SourceKind::kFile:
      writer.member("type", "file").member("file_id", data);
      break;
    case chat::SourceKind::kText:
      writer.member("type", "text")
          .member("media_type", media_type.empty() ? "text/plain" : media_type)
          .member("data", data);
      break;
    case chat::SourceKind::kBlocks:
      writer.member("type", "content").member_raw("content", blocks_json.empty() ? "[]" : blocks_json);
      break;
  }
  writer.end_object();
}

/// The members that every text, call and result has, which are nearly all blocks, are written as they are spelt.
struct BlockWriter {
  json::Writer& writer;
  std::string& out = writer.out();

  void operator()(const chat::Text& text) const {
    writer.raw(R"({"type":"text","text":)");
    json::append_string(out, text.text);
    write_members(writer, text.extra_json);
    write_cache_control(writer, text.cache_control_json);
    out += '}';
  }
  void operator()(const chat::Thinking& thinking) const {
    writer.begin_object();
    if (thinking.redacted) {
      writer.member("type", "redacted_thinking").member("data", thinking.text);
    } else {
      writer.member("type", "thinking")
          .member("thinking", thinking.text)
          .member("signature", thinking.signature);
    }
    writer.end_object();
  }
  void operator()(const chat::Image& image) const {
    writer.begin_object().member("type", "image");
    write_source(writer, image.kind, image.media_type, image.data, {});
    write_members(writer, image.extra_json);
    write_cache_control(writer, image.cache_control_json);
    writer.end_object();
  }
  void operator()(const chat::Document& document) const {
    writer.begin_object().member("type", "document");
    write_source(writer, document.kind, document.media_type, document.data, document.blocks_json);
    if (!document.title.empty()) writer.member("title", document.title);
    if (!document.context.empty()) writer.member("context", document.context);
    write_members(writer, document.extra_json);
    write_cache_control(writer, document.cache_control_json);
    writer.end_object();
  }
  void operator()(const chat::ToolCall& call) const {
    writer.raw(R"({"type":"tool_use","id":)");
    json::append_string(out, call.id);
    out += R"(,"name":)";
    json::append_string(out, call.name);
    out += R"(,"input":)";
    out += call.arguments_json;
    write_members(writer, call.extra_json);
    write_cache_control(writer, call.cache_control_json);
    out += '}';
  }
  void operator()(const chat::ToolResult& result) const {
    writer.raw(R"({"type":"tool_result","tool_use_id":)");
    json::append_string(out, result.call_id);
    if (!result.content_absent) {
      const auto* text =
          result.content.size() == 1 ? std::get_if<chat::Text>(&result.content.front().value) : nullptr;
      if (text != nullptr && text->cache_control_json.empty() && text->extra_json.empty()) {
        writer.member("content", text->text);
      } else {
        writer.key("content").begin_array();
        for (const chat::Block& block : result.content) write_block(writer, block);
        writer.end_array();
      }
    }
    if (result.is_error) writer.member("is_error", true);
    write_members(writer, result.extra_json);
    write_cache_control(writer, result.cache_control_json);
    out += '}';
  }
  void operator()(const chat::Opaque& opaque) const { writer.raw(opaque.json); }
};

}  // namespace

Result<void> read_block(json::Value& value, chat::Block& block) {
  if (!value.is(Type::kObject)) return value.error("must be an object with a type");
  const std::string_view type = value.peek_string("type").value_or(std::string_view());
  auto& read = block.value;
  if (type == "text") return read_text(value, read.emplace<chat::Text>());
  if (type == "tool_use") return read_tool_call(value, read.emplace<chat::ToolCall>());
  if (type == "tool_result") return read_tool_result(value, read.emplace<chat::ToolResult>());
  if (type == "thinking") return read_thinking(value, false, read.emplace<chat::Thinking>());
  if (type == "redacted_thinking") return read_thinking(value, true, read.emplace<chat::Thinking>());
  if (type == "image" && has_known_source(value, type)) return read_image(value, read.emplace<chat::Image>());
  if (type == "document" && has_known_source(value, type)) return read_document(value, read.emplace<chat::Document>());
  return read_opaque(value, type, read.emplace<chat::Opaque>());
}

Result<void> read_content(json::Value& value, std::vector<chat::Block>& blocks, bool& plain_string) {
  blocks.clear();
  plain_string = value.is(Type::kString);
  if (plain_string) {
    CCR_TRY(words, value.text());
    chat::add_block<chat::Text>(blocks).text = std::move(words);
    return {};
  }
  if (!value.is(Type::kArray)) return value.error("must be a string or an array of blocks");
  CCR_TRY(array, value.array());
  while (array.next()) {
    if (blocks.empty()) blocks.reserve(kUsualBlocks);  // not sooner: empty lists are for nothing
    CCR_CHECK(read_block(array.value(), blocks.emplace_back()));
  }
  return array.done();
}

void write_block(json::Writer& writer, const chat::Block& block) {
  std::visit(BlockWriter{writer}, block.value);
}

std::string one_line(std::string_view json) {
  return json.find_first_of("\r\n") == std::string_view::npos ? std::string(json) : json::compact(json);
}

}  // namespace ccrules::dialect::anthropic_messages
