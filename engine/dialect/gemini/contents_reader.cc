#include "dialect/gemini/contents_reader.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "dialect/gemini/parts.h"
#include "dialect/members.h"

namespace ccrules::dialect::gemini {
namespace {

using json::Type;

/// What the model says and the call behind it.
constexpr std::size_t kUsualParts = 2;

/// Different members without a place in the neutral request that are named one by one, and the longest such name; what goes beyond
/// is named together.
constexpr std::size_t kNamedMembers = 64;
constexpr std::size_t kLongestNamed = 128;

bool says_nothing(const json::Value& value) {
  const std::string_view json = value.peek_raw();
  return json == "null" || json == "{}" || json == "[]";
}

/// inlineData and fileData look alike.
struct Media {
  std::string type;
  std::string data;
  std::string name;
};

/// Members without a place in the neutral request, by their paths from the part.
using Others = std::vector<std::string>;

void note_other(Others& others, std::string_view path, std::string_view key, const json::Value& value) {
  if (says_nothing(value)) return;
  others.push_back(std::string(path).append(key));
}

enum class Kind : std::uint8_t { kNone, kText, kCall, kResult, kMedia, kOther };

/// A part as its members tell it one by one; one of them says what it is.
struct RawPart {
  Kind kind = Kind::kNone;
  std::string member;  ///< its name, of media and what we do not know
  Others others;
  json::Text text;
  bool thought = false;
  std::string signature;
  std::optional<Media> media;
  chat::ToolCall* call = nullptr;  ///< among the message's blocks already, as results are: they are large
};

/// What a part is stands in one field of Google's API, which refuses a part with two of them: one would be lost.
Result<void> set_kind(RawPart& raw, Kind kind, const json::Value& whole) {
  if (raw.kind != Kind::kNone) {
    return whole.error(
        "holds several things at once; parts hold one thing each (text, inlineData, fileData, functionCall, functionResponse ...): send a "
        "part for each");
  }
  raw.kind = kind;
  return {};
}

bool is_other_data(std::string_view key) {
  return key == "executableCode" || key == "codeExecutionResult" || key == "toolCall" || key == "toolResponse";
}

bool is_metadata(std::string_view key) {
  return key == "videoMetadata" || key == "partMetadata" || key == "mediaResolution";
}

Result<void> read_media(json::Value& value, const std::string& path, Media& media, Others& others) {
  CCR_TRY(members, value.object());
  while (members.next()) {
    std::string room;
    const std::string_view key = camel(members.key(), room);
    std::string* kept = nullptr;
    if (key == "mimeType") kept = &media.type;
    else if (key == "data" || key == "fileUri") kept = &media.data;
    else if (key == "displayName") kept = &media.name;
    if (kept != nullptr && members.value().is(Type::kString)) {
      CCR_CHECK(take_string(members.value(), *kept));
    } else {
      note_other(others, path, key, members.value());
    }
  }
  return members.done();
}

// --- what a part adds to a message

void keep_signature(const std::string& signature, std::string& extra_json) {
  if (signature.empty()) return;
  std::string json;
  json::append_string(json, signature);
  keep_member(extra_json, "thoughtSignature", json);
}

void add_thought(RawPart& raw, std::vector<chat::Block>& blocks) {
  chat::Thinking thinking;
  thinking.text = std::move(raw.text.edit());
  if (auto ours = unwrap_signature(raw.signature)) thinking.signature = *std::move(ours);
  auto* last = blocks.empty() ? nullptr : std::get_if<chat::Thinking>(&blocks.back().value);
  if (last != nullptr && last->signature.empty()) {  // more of the same thoughts, or the signature that came behind them
    last->text += thinking.text;
    last->signature = std::move(thinking.signature);
  } else {
    blocks.push_back(chat::Block{std::move(thinking)});
  }
}

void add_words(RawPart& raw, std::vector<chat::Block>& blocks) {
  if (raw.thought) return add_thought(raw, blocks);
  if (raw.text.empty() && raw.signature.empty()) return;
  auto& text = chat::add_block<chat::Text>(blocks);
  text.text = std::move(raw.text);
  keep_signature(raw.signature, text.extra_json);
}

bool is_picture(const Media& media) { return media.type.starts_with("image/"); }

/// Not sounds, films, files in Google's cloud, and the pictures a model thinks in.
bool is_carried(const RawPart& raw) {
  const Media& media = *raw.media;
  const bool is_document = media.type == "application/pdf" || media.type.starts_with("text/");
  const bool uploaded = media.data.find("://generativelanguage.googleapis.com/") != std::string::npos;
  const bool link = media.data.starts_with("http://") || media.data.starts_with("https://");
  const bool reachable = raw.member == "inlineData" || (link && !uploaded);
  return (is_picture(media) || is_document) && reachable && !raw.thought;
}

void add_media(RawPart& raw, std::vector<chat::Block>& blocks) {
  Media& media = *raw.media;
  const auto kind = raw.member == "inlineData" ? chat::SourceKind::kBase64 : chat::SourceKind::kUrl;
  if (is_picture(media)) {
    auto& image = blocks.emplace_back().value.emplace<chat::Image>();
    image.kind = kind;
    image.media_type = std::move(media.type);
    image.data = std::move(media.data);
    if (!media.name.empty()) raw.others.push_back(raw.member + ".displayName");
  } else {
    auto& document = blocks.emplace_back().value.emplace<chat::Document>();
    document.kind = kind;
    document.media_type = std::move(media.type);
    document.data = std::move(media.data);
    document.title = std::move(media.name);
  }
}

chat::Block opaque_block(const std::string& member, const json::Value& whole) {
  chat::Opaque opaque;
  opaque.dialect = kName;
  opaque.type = member;
  opaque.json = whole.peek_raw();
  return chat::Block{std::move(opaque)};
}

/// Moves out of `raw` what the message comes to hold and does not hold yet.
void add_part(RawPart& raw, const json::Value& whole, std::vector<chat::Block>& blocks) {
  if (raw.kind == Kind::kOther || (raw.kind == Kind::kMedia && !is_carried(raw))) {
    blocks.push_back(opaque_block(raw.member, whole));
    raw.others.clear();  // they stand in it
  } else if (raw.kind == Kind::kCall) {
    keep_signature(raw.signature, raw.call->extra_json);
  } else if (raw.kind == Kind::kMedia) {
    add_media(raw, blocks);
  } else if (raw.kind != Kind::kResult) {
    add_words(raw, blocks);
  }
}

// --- results, turns, system messages

/// {"output": "..."} and {"result": "..."} are the text itself, {"error": "..."} a failure; any other object is its JSON.
/// @param json the value's own
/// @return true when the text alone is written as this very JSON.
Result<bool> read_response_text(json::Value& value, std::string_view json, chat::ToolResult& result) {
  std::size_t count = 0;
  json::Text only;  // when there is nothing else
  std::string_view key;
  bool is_text = false;
  if (value.is(Type::kObject)) {
    CCR_TRY(members, value.object());
    while (members.next()) {
      key = members.key();
      is_text = ++count == 1 && members.value().is(Type::kString);
      if (is_text) {
        CCR_TRY(words, members.value().text());
        only = std::move(words);
      } else {
        CCR_CHECK(members.value().raw());
      }
    }
    CCR_CHECK(members.done());
  } else {
    CCR_CHECK(value.raw());
  }
  result.is_error = count == 1 && key == "error";
  bool is_plain = false;
  if (is_text && (key == "output" || key == "result" || key == "error")) {
    constexpr std::size_t kPunctuation = 7;  // {"":""}
    const bool without_blanks = json.size() == key.size() + only.kept_bytes() + kPunctuation;
    is_plain = key != "result" && only.is_spelt() && without_blanks && !only.empty();
  } else {
    only = json::compact(json);
  }
  if (!only.empty()) std::get<chat::Text>(result.content.emplace_back().value).text = std::move(only);
  return is_plain;
}

/// Calls and thoughts are the model's and results the user's, whatever turn they stand in: other formats have no place for them
/// elsewhere.
void split_last_turn(std::vector<chat::Message>& messages) {
  chat::Message* open = &messages.back();
  const auto role_of = [role = open->role](const chat::Block& block) {
    if (std::holds_alternative<chat::ToolResult>(block.value)) return chat::Role::kUser;
    const bool is_models = std::holds_alternative<chat::ToolCall>(block.value) || std::holds_alternative<chat::Thinking>(block.value);
    return is_models ? chat::Role::kAssistant : role;
  };
  const auto stands_right = [&](const chat::Block& block) { return role_of(block) == open->role; };
  if (std::all_of(open->blocks.begin(), open->blocks.end(), stands_right)) return;
  for (chat::Block& block : std::exchange(open->blocks, {})) {
    const chat::Role role = role_of(block);
    if (open->role != role && !open->blocks.empty()) open = &messages.emplace_back();
    open->role = role;
    open->blocks.push_back(std::move(block));
  }
}

void add_system(json::Text words, std::vector<chat::Block>& system) {
  if (words.empty()) return;
  chat::Text text;
  text.text = std::move(words);
  system.push_back(chat::Block{std::move(text)});
}

}  // namespace

// --- turns

Result<void> ContentsReader::read_turn(json::Value& value, std::vector<chat::Message>& messages) {
  chat::Message& message = messages.emplace_back();
  const json::Value at = value;
  CCR_TRY(turn, value.object());
  while (turn.next()) {
    if (turn.key() == "role") {
      if (turn.value().is_null()) continue;
      CCR_TRY(role, turn.value().string());
      if (role == "model") {
        message.role = chat::Role::kAssistant;
      } else if (!role.empty() && role != "user" && role != "function" && role != "tool") {
        return at.error("has the role '" + std::string(role.substr(0, 40)) + "'; send user or model");
      }
    } else if (turn.key() == "parts") {
      CCR_CHECK(each(turn.value(), [this, &message](json::Value& part) { return read_part(part, message.blocks); }));
    } else if (!says_nothing(turn.value())) {
      name_other("contents[].", turn.key());
    }
  }
  CCR_CHECK(turn.done());
  split_last_turn(messages);
  return {};
}

Result<void> ContentsReader::read_system(json::Value& value, std::vector<chat::Block>& system) {
  if (value.is(Type::kString)) {
    CCR_TRY(text, value.text());
    add_system(std::move(text), system);
    return {};
  }
  CCR_TRY(content, value.object());
  while (content.next()) {
    if (content.key() == "parts") {
      CCR_CHECK(each(content.value(), [this, &system](json::Value& part) { return read_system_part(part, system); }));
    } else if (content.key() != "role" && !says_nothing(content.value())) {
      name_other("systemInstruction.", content.key());
    }
  }
  return content.done();
}

Result<void> ContentsReader::read_system_part(json::Value& value, std::vector<chat::Block>& system) {
  CCR_TRY(members, value.object());
  while (members.next()) {
    std::string room;
    const std::string_view key = camel(members.key(), room);
    if (key == "text") {
      CCR_TRY(text, take_optional_text(members.value()));
      add_system(std::move(text), system);
    } else if (key != "thought" && key != "thoughtSignature" && !says_nothing(members.value())) {
      name_other("systemInstruction.parts[].", key);
    }
  }
  return members.done();
}

void ContentsReader::name_other(std::string_view where, std::string_view path) {
  const bool alone = others_.size() < kNamedMembers && path.size() <= kLongestNamed;
  others_.insert(alone ? std::string(where).append(path) : "contents[].others");
}

// --- parts

Result<void> ContentsReader::read_part(json::Value& value, std::vector<chat::Block>& blocks) {
  if (blocks.empty()) blocks.reserve(kUsualParts);  // not sooner: turns without parts are for nothing
  const json::Value whole = value;
  RawPart raw;
  CCR_TRY(part, value.object());
  while (part.next()) {
    std::string room;
    const std::string_view key = camel(part.key(), room);
    json::Value& member = part.value();
    if (member.is_null()) continue;
    if (key == "text") {
      CCR_TRY(text, member.text());
      if (text.empty()) continue;
      CCR_CHECK(set_kind(raw, Kind::kText, whole));
      raw.text = std::move(text);
    } else if (key == "functionCall") {
      CCR_CHECK(set_kind(raw, Kind::kCall, whole));
      raw.call = &chat::add_block<chat::ToolCall>(blocks);
      CCR_CHECK(read_call(member, *raw.call, raw.others));
    } else if (key == "functionResponse") {
      CCR_CHECK(set_kind(raw, Kind::kResult, whole));
      CCR_CHECK(read_response(member, chat::add_block<chat::ToolResult>(blocks), raw.others));
    } else if (key == "thought" && member.is(Type::kBool)) {
      CCR_TRY(thought, member.boolean());
      raw.thought = thought;
    } else if (key == "thoughtSignature" && member.is(Type::kString)) {
      CCR_CHECK(take_string(member, raw.signature));
    } else if (key == "inlineData" || key == "fileData") {
      CCR_CHECK(set_kind(raw, Kind::kMedia, whole));
      raw.member = key;
      CCR_CHECK(read_media(member, raw.member + '.', raw.media.emplace(), raw.others));
    } else if (is_other_data(key)) {
      CCR_CHECK(set_kind(raw, Kind::kOther, whole));
      raw.member = key;
    } else if (!is_metadata(key) || !says_nothing(member)) {
      raw.others.emplace_back(key);
    }
  }
  CCR_CHECK(part.done());
  if (raw.kind == Kind::kNone && raw.signature.empty() && !raw.others.empty()) {  // data that we do not know yet
    raw.kind = Kind::kOther;
    raw.member = raw.others.front();
  }
  add_part(raw, whole, blocks);
  for (const std::string& other : raw.others) name_other("contents[].parts[].", other);
  return {};
}

// --- calls and results

Result<void> ContentsReader::read_call(json::Value& value, chat::ToolCall& call, Others& others) {
  CCR_TRY(members, value.object());
  while (members.next()) {
    const std::string_view key = members.key();
    if (key == "id") {
      CCR_CHECK(take_optional_string(members.value(), call.id));
    } else if (key == "name") {
      CCR_CHECK(take_string(members.value(), call.name));
    } else if (key == "args" && !members.value().is_null()) {
      if (!members.value().is(Type::kObject)) return members.value().error("must be an object");
      CCR_TRY(args, members.value().raw());
      call.arguments_json = args;
    } else {
      std::string room;
      note_other(others, "functionCall.", camel(key, room), members.value());
    }
  }
  CCR_CHECK(members.done());
  if (call.arguments_json.empty()) call.arguments_json = "{}";
  // Results name a call by id, or by name and order: those without an id get one of ours.
  if (call.id.empty()) call.id = "call_" + std::to_string(++made_ids_);
  open_calls_[call.name].push_back(call.id);
  return {};
}

Result<void> ContentsReader::read_response(json::Value& value, chat::ToolResult& result, Others& others) {
  std::vector<chat::Block> pictures;
  std::string_view name;
  std::string_view response_json;
  bool is_plain = false;
  CCR_TRY(members, value.object());
  while (members.next()) {
    const std::string_view key = members.key();
    if (key == "id") {
      CCR_CHECK(take_optional_string(members.value(), result.call_id));
    } else if (key == "name") {
      if (members.value().is_null()) continue;
      CCR_TRY(given, members.value().string());
      name = given;
    } else if (key == "response") {
      response_json = members.value().peek_raw();
      CCR_TRY(plain, read_response_text(members.value(), response_json, result));
      is_plain = plain;
    } else if (key == "parts") {
      CCR_CHECK(each(members.value(), [this, &pictures](json::Value& part) { return read_result_part(part, pictures); }));
    } else {
      std::string room;
      note_other(others, "functionResponse.", camel(key, room), members.value());
    }
  }
  CCR_CHECK(members.done());
  // It goes back to Google as it was.
  if (!response_json.empty() && !(is_plain && pictures.empty())) keep_member(result.extra_json, "response", response_json);
  take_open_call(name, result.call_id);
  std::move(pictures.begin(), pictures.end(), std::back_inserter(result.content));
  return {};
}

Result<void> ContentsReader::read_result_part(json::Value& value, std::vector<chat::Block>& blocks) {
  const json::Value whole = value;
  CCR_CHECK(read_part(value, blocks));
  if (blocks.empty()) return {};
  const auto& added = blocks.back().value;
  const bool fits = !std::holds_alternative<chat::ToolCall>(added) && !std::holds_alternative<chat::ToolResult>(added) &&
                    !std::holds_alternative<chat::Thinking>(added);
  return fits ? Result<void>() : whole.error("must be inlineData or fileData");
}

void ContentsReader::take_open_call(std::string_view name, std::string& id) {
  const auto known = open_calls_.find(name);
  const bool is_open = known != open_calls_.end() && !known->second.empty();
  if (id.empty()) id = is_open ? known->second.front() : "call_unknown_" + std::to_string(++made_ids_);
  if (!is_open) return;
  std::deque<std::string>& open = known->second;
  if (const auto found = std::find(open.begin(), open.end(), id); found != open.end()) open.erase(found);
}

}  // namespace ccrules::dialect::gemini
