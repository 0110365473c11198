#include "core/json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "core/json_reader.h"
#include "core/json_scalar.h"

namespace ccrules::json {
namespace {

constexpr std::size_t kPooledParsers = 4;

std::string_view article_and_name(Type type) {
  switch (type) {
    case Type::kObject:
      return "an object";
    case Type::kArray:
      return "an array";
    case Type::kString:
      return "a string";
    case Type::kNumber:
      return "a number";
    case Type::kBool:
      return "a boolean";
    case Type::kNull:
      return "null";
  }
  return "a value";
}

}  // namespace

// ---------------------------------------------------------------------------------------------- values

namespace {

/// By a value's first byte.
constexpr std::array<Type, 256> kTypes = [] {
  std::array<Type, 256> types{};
  types.fill(Type::kNumber);
  types['{'] = Type::kObject;
  types['['] = Type::kArray;
  types['"'] = Type::kString;
  types['t'] = types['f'] = Type::kBool;
  types['n'] = Type::kNull;
  return types;
}();

}  // namespace

Type Value::type() const {
  return kTypes[static_cast<unsigned char>(reader_->byte(index_))];
}

Error Value::error(std::string_view what) const {
  return bad_request(path() + " " + std::string(what));
}

std::string Value::path() const {
  return reader_->path(index_);
}

std::size_t Value::offset() const {
  return reader_->offset(index_);
}

std::string_view Value::text_on() const { return reader_->text().substr(offset()); }

std::optional<Passage> Value::passage(std::size_t least_bytes, std::size_t most_bytes) const {
  return reader_->passage_from(index_, least_bytes, most_bytes);
}

bool Value::pass_again(const Passage& before) { return reader_->pass_again(index_, before); }

namespace {

/// "messages[3].content must be a string, not a number", or what is malformed there.
/// What begins like no value, as a form or a web page does, is no number either.
Error wrong_type(Reader& reader, std::uint32_t index, const Value& value, std::string_view wanted) {
  const bool scalar = !value.is(Type::kObject) && !value.is(Type::kArray) && !value.is(Type::kString);
  const std::string_view token = scalar ? reader.scalar(index) : std::string_view();
  if (scalar && (token.empty() || !is_scalar(token))) {
    reader.fail(index, "expected a value");
    return reader.failure();
  }
  return value.error("must be " + std::string(wanted) + ", not " +
                     std::string(article_and_name(value.type())));
}

}  // namespace

Result<std::string_view> Value::string() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kString)) return wrong_type(*reader_, index_, *this, "a string");
  const std::string_view text = reader_->decoded(index_);
  if (text.data() == nullptr) {
    reader_->fail(index_, "a string holds an invalid escape");
    return reader_->failure();
  }
  reader_->consume_scalar(index_);
  return text;
}

Result<Text> Value::text() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kString)) return wrong_type(*reader_, index_, *this, "a string");
  if (const std::string_view literal = reader_->inside(index_); literal.data() != nullptr) {
    const Spelling spelling = reader_->spelling(literal);
    if (spelling != Spelling::kOther) {
      reader_->consume_scalar(index_);
      return reader_->text_of(literal, spelling == Spelling::kEscaped);
    }
  }
  CCR_TRY(read, string());
  return Text(read);
}

Result<double> Value::number() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kNumber)) return wrong_type(*reader_, index_, *this, "a number");
  const std::string_view token = reader_->scalar(index_);
  if (const auto small = small_whole(token)) {
    reader_->consume_scalar(index_);
    return static_cast<double>(*small);
  }
  if (!is_number(token)) {
    reader_->fail(index_, "expected a value");
    return reader_->failure();
  }
  double number = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), number);
  if (parsed.ec != std::errc()) return error("is a number out of range");
  reader_->consume_scalar(index_);
  return number;
}

Result<std::int64_t> Value::integer() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kNumber)) return wrong_type(*reader_, index_, *this, "a whole number");
  const std::string_view token = reader_->scalar(index_);
  if (const auto small = small_whole(token)) {
    reader_->consume_scalar(index_);
    return *small;
  }
  std::int64_t whole = 0;
  const auto parsed = std::from_chars(token.data(), token.data() + token.size(), whole);
  if (parsed.ec == std::errc() && parsed.ptr == token.data() + token.size() && is_number(token)) {
    reader_->consume_scalar(index_);
    return whole;
  }
  CCR_TRY(number, this->number());
  constexpr double kTooLarge = 9223372036854775808.0;  // 2^63
  if (number != std::floor(number)) return error("must be a whole number");
  if (number >= kTooLarge || number < -kTooLarge) return error("is a number out of range");
  return static_cast<std::int64_t>(number);
}

Result<bool> Value::boolean() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kBool)) return wrong_type(*reader_, index_, *this, "true or false");
  const std::string_view token = reader_->scalar(index_);
  if (token != "true" && token != "false") {
    reader_->fail(index_, "expected a value");
    return reader_->failure();
  }
  reader_->consume_scalar(index_);
  return token == "true";
}

Result<Object> Value::object() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kObject)) return wrong_type(*reader_, index_, *this, "an object");
  if (!reader_->enter(index_, true)) return reader_->failure();
  Object object;
  object.depth_ = reader_->depth();
  object.value_.reader_ = reader_;
  return object;
}

Result<Array> Value::array() {
  if (reader_->failed()) return reader_->failure();
  if (!is(Type::kArray)) return wrong_type(*reader_, index_, *this, "an array");
  if (!reader_->enter(index_, false)) return reader_->failure();
  Array array;
  array.depth_ = reader_->depth();
  array.value_.reader_ = reader_;
  return array;
}

Result<std::string_view> Value::raw() {
  if (reader_->failed()) return reader_->failure();
  if (!reader_->skip_value(index_)) return reader_->failure();
  const std::size_t begin = offset();
  return reader_->text().substr(begin, reader_->end_of_passed() - begin);
}

std::optional<Value> Value::peek(std::string_view name) const {
  if (!is(Type::kObject)) return std::nullopt;
  Value member = *this;
  // What tells objects apart mostly stands first.
  if (reader_->byte(index_ + 1) == '"' && reader_->is_named(index_ + 1, name)) {
    member.index_ = index_ + 3;
    return member;
  }
  std::size_t known = reader_->known_from(index_);
  for (std::uint32_t key = index_ + 1; reader_->byte(key) == '"'; ++key) {
    if (reader_->is_named_somehow(key, name)) {
      member.index_ = key + 2;
      return member;
    }
    key = reader_->behind(key + 2, known);
    if (reader_->byte(key) != ',') break;
  }
  return std::nullopt;
}

bool Value::peek_any(bool (*wanted)(std::string_view key, const Value& value)) const {
  constexpr std::uint32_t kToNext = 3;  // from one ':' to the next: a bracket or a value, and a key, stand between them
  const std::uint32_t end = std::min(reader_->behind(index_), reader_->count());
  Value member = *this;
  for (std::uint32_t i = reader_->find_colon(index_ + 1, end); i < end; i = reader_->find_colon(i + kToNext, end)) {
    member.index_ = i + 1;
    if (const std::string_view key = reader_->inside(i - 1); key.data() != nullptr && wanted(key, member)) return true;
  }
  return false;
}

std::string_view Value::peek_raw() const {
  std::string_view text = reader_->text().substr(offset(), reader_->offset(reader_->behind(index_)) - offset());
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::string_view> Value::peek_string(std::string_view name) const {
  const auto member = peek(name);
  if (!member || !member->is(Type::kString)) return std::nullopt;
  const std::string_view text = reader_->decoded(member->index_);
  return text.data() == nullptr ? std::nullopt : std::optional(text);
}

// ---------------------------------------------------------------------------------------------- containers

bool Object::next() {
  if (ended_) return false;
  if (!value_.reader_->step(depth_, &key_, &key_offset_)) {
    ended_ = true;
    return false;
  }
  value_.index_ = value_.reader_->at();
  return true;
}

Result<void> Object::done() {
  Reader& reader = *value_.reader_;
  if (!ended_ && !reader.failed()) {
    ended_ = true;
    reader.skip_to(depth_ - 1);
  }
  if (reader.failed()) return reader.failure();
  return {};
}

bool Array::next() {
  if (ended_) return false;
  if (!value_.reader_->step(depth_, nullptr, nullptr)) {
    ended_ = true;
    return false;
  }
  value_.index_ = value_.reader_->at();
  return true;
}

Result<void> Array::done() {
  Reader& reader = *value_.reader_;
  if (!ended_ && !reader.failed()) {
    ended_ = true;
    reader.skip_to(depth_ - 1);
  }
  if (reader.failed()) return reader.failure();
  return {};
}

// ---------------------------------------------------------------------------------------------- documents

namespace {

/// Parsers of this thread that no document uses. A handful: documents nest two or three deep.
std::vector<std::unique_ptr<Reader>>& idle_readers() {
  thread_local std::vector<std::unique_ptr<Reader>> readers;
  return readers;
}

std::unique_ptr<Reader> borrow_reader() {
  auto& idle = idle_readers();
  if (idle.empty()) return std::make_unique<Reader>();
  auto reader = std::move(idle.back());
  idle.pop_back();
  return reader;
}

void give_back(std::unique_ptr<Reader> reader) {
  if (!reader) return;
  reader->trim();
  auto& idle = idle_readers();
  if (idle.size() < kPooledParsers) idle.push_back(std::move(reader));
}

}  // namespace

Document::Document(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
Document::Document(Document&&) noexcept = default;
Document::~Document() {
  give_back(std::move(reader_));
}

Document& Document::operator=(Document&& other) noexcept {
  std::swap(reader_, other.reader_);
  return *this;
}

Result<Document> Document::open_view(std::string_view text, Escapes unread) {
  Document document(borrow_reader());
  CCR_CHECK(document.reader_->start(text, unread));
  return document;
}

Result<Document> Document::open(std::string_view text) {
  Document document(borrow_reader());
  CCR_CHECK(document.reader_->start_copy(text));
  return document;
}

void Document::rewind(Escapes unread) {
  reader_->rewind(unread);
}

void Document::watch(std::string_view name) { reader_->watch(name); }

bool Document::saw_watched() const { return reader_->saw_watched(); }

void Document::lend_texts() { reader_->lend(); }

Result<Value> Document::root() {
  Value value;
  value.reader_ = reader_.get();
  return value;
}

Result<Object> Document::root_object() {
  CCR_TRY(value, root());
  return value.object();
}

std::string_view Document::text() const {
  return reader_->text();
}

Result<void> Document::at_end() {
  Reader& reader = *reader_;
  if (reader.failed() || !reader.skip_to(0)) return reader.failure();
  if (reader.byte(reader.at()) != '\0' || reader.offset(reader.at()) < reader.text().size()) {
    reader.fail(reader.at(), "expected nothing behind the value");
    return reader.failure();
  }
  return {};
}

std::string_view padded(std::string& text) {
  text.reserve(text.size() + kPadding);
  return text;
}

bool is_valid(std::string_view text) {
  auto document = Document::open_view(text);
  return document.ok() && document->at_end().ok();
}

}  // namespace ccrules::json
