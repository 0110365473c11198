#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_escapes.h"
#include "core/json_text.h"
#include "core/result.h"

/// JSON in and out. core/json_index.cc is the only file that knows the JSON library: simdjson finds the structural
/// characters and checks UTF-8 at several GB/s; the walk over them is ours (core/json_reader.h), so every skipped byte is
/// validated too (docs/adr/0007).
///
/// Reading is forward-only and single-pass: a Document is opened over bytes, and each Value is read once, in
/// document order. Objects and arrays are walked with next():
///
///   CCR_TRY(root, document.root_object());
///   while (root.next()) {
///     if (root.key() == "model") { CCR_TRY(model, root.value().string()); request.model = model; }
///     else if (root.key() == "tools") ...
///   }
///   CCR_CHECK(root.done());          // malformed JSON anywhere in what was walked or skipped shows here at
///   the latest
///
/// A value that is not read is skipped and validated. Every error is a 400 whose message says what and where
/// ("messages[3].content must be a string, not a number"), without quoting the text. Strings are strict
/// UTF-8; lone surrogates in escapes become U+FFFD; `\u0000` is kept; nesting beyond limits::kJsonDepth is
/// refused; duplicate keys are the caller's business (Object::next yields both). Not thread-safe; parsers are
/// reused per thread.
namespace ccrules::json {

/// Readable bytes behind bodies as the HTTP layer hands them out. Document does not need them; a JSON library
/// might.
inline constexpr std::size_t kPadding = 64;

enum class Type : std::uint8_t { kObject, kArray, kString, kNumber, kBool, kNull };

class Object;
class Array;
class Passage;
class Reader;  ///< The cursor behind a Document: core/json_reader.h.

/// A cursor to one value. Cheap to copy; may be read once, before the walk goes on.
class Value {
 public:
  /// Does not consume. A value that is not JSON at all has the type its first byte suggests; reading it
  /// fails.
  [[nodiscard]] Type type() const;
  [[nodiscard]] bool is(Type wanted) const { return type() == wanted; }
  [[nodiscard]] bool is_null() const { return type() == Type::kNull; }
  /// Unescaped text; the view lives as long as the Document. Text without escapes is a view into the
  /// document's own bytes.
  Result<std::string_view> string();
  /// The same text to be written into another document, read only if somebody asks what it says. It owns its bytes, unless the
  /// Document lends its texts.
  Result<Text> text();
  /// A whole number that fits; 5.0 and 1e3 count as whole, 5.5 does not.
  Result<std::int64_t> integer();
  Result<double> number();
  Result<bool> boolean();
  Result<Object> object();
  Result<Array> array();
  /// The value's own bytes, verbatim, fully validated (grammar, UTF-8, depth). Big numbers and key order
  /// survive.
  Result<std::string_view> raw();
  /// Looks into an object value without consuming it: the text of its first member `name` when that is a
  /// string whose escapes are valid; nullopt otherwise. For tags such as "type" that may stand after what they
  /// describe.
  [[nodiscard]] std::optional<std::string_view> peek_string(std::string_view name) const;
  /// Looks into an object value without consuming it: its first member `name`, to be peeked at, not read;
  /// nullopt when it has none. Also when its members were read before, as all that peeks: it is only slower then.
  [[nodiscard]] std::optional<Value> peek(std::string_view name) const;
  /// Looks at all objects in a value, itself and those of any depth, without consuming or validating it: true when `wanted` says so
  /// of a member. Keys come as they are spelt; values are to be peeked at.
  [[nodiscard]] bool peek_any(bool (*wanted)(std::string_view key, const Value& value)) const;
  /// The bytes of a value without consuming or validating it: up to its matching bracket, for a Document to
  /// be opened over.
  [[nodiscard]] std::string_view peek_raw() const;
  /// Position of the value's first byte in the Document's text. Does not consume.
  [[nodiscard]] std::size_t offset() const;
  /// The document's text from the value's first byte on. Does not consume.
  [[nodiscard]] std::string_view text_on() const;
  /// Of a container in the root that has been read or passed over, and nothing behind it: how to pass over the same bytes in
  /// another document. Null when it has fewer or more bytes, and for what has not been read and what stands deeper.
  [[nodiscard]] std::optional<Passage> passage(std::size_t least_bytes, std::size_t most_bytes) const;
  /// Steps over a container that consists of the passage's bytes, as if it had been passed over; false, and nothing has happened,
  /// when it does not.
  bool pass_again(const Passage& before);
  /// Where the value stands: "messages[3].content"; "the body" for the root. Walks the document: for error
  /// messages only.
  [[nodiscard]] std::string path() const;
  /// A 400 that reads "<path> <what>".
  [[nodiscard]] Error error(std::string_view what) const;

 private:
  friend class Object;
  friend class Array;
  friend class Document;
  friend class Reader;
  Value() = default;
  Reader* reader_ = nullptr;
  std::uint32_t index_ = 0;  ///< of the value's first structural character
};

/// The bytes of one container and what passing over them showed: valid they are, and where the containers in them end. Owns its
/// memory; any thread.
class Passage {
  friend class Reader;
  struct Known {
    std::uint32_t begin;
    std::uint32_t end;
  };
  std::string bytes_;
  std::uint64_t number_ = 0;
  std::uint32_t structurals_ = 0;
  std::uint32_t depth_ = 0;
  bool escapes_checked_ = false;
  Spelling spelling_ = Spelling::kOther;
  std::string watched_;
  bool saw_watched_ = false;
  std::vector<Known> known_;  ///< counted from the container's first structural character
};

class Object {
 public:
  /// Steps to the next member; false at the end or after an error (see done()).
  bool next();
  /// Unescaped key of the current member; the view lives as long as the Document.
  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] Value& value() { return value_; }
  /// Position of the current member's key (its opening quote) in the text.
  [[nodiscard]] std::size_t key_offset() const { return key_offset_; }
  /// Reads to the object's end when that was not reached yet. Error when the JSON is malformed.
  Result<void> done();

 private:
  friend class Value;
  friend class Document;
  Object() = default;
  std::uint32_t depth_ = 0;
  bool ended_ = false;
  std::string_view key_;
  std::size_t key_offset_ = 0;
  Value value_;
};

class Array {
 public:
  bool next();
  [[nodiscard]] Value& value() { return value_; }
  Result<void> done();

 private:
  friend class Value;
  Array() = default;
  std::uint32_t depth_ = 0;
  bool ended_ = false;
  Value value_;
};

/// Whether escapes inside strings that are passed over unread are checked too. Strings that are decoded
/// always are.
enum class Escapes : std::uint8_t { kChecked, kUnchecked };

/// One JSON text being read. Holds a parser borrowed from the thread; documents may nest (a text inside a
/// text).
class Document {
 public:
  /// Reads `text` in place; it must outlive the Document and its views.
  static Result<Document> open_view(std::string_view text, Escapes unread = Escapes::kChecked);
  /// The same; where callers promise kPadding readable bytes behind the text.
  static Result<Document> open_padded(std::string_view text) { return open_view(text); }
  /// Copies the text first, for one that may go away.
  static Result<Document> open(std::string_view text);
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  /// Starts over, as if just opened; all views given out so far are void. What is known of the text stays, so that a
  /// second reading of it costs no second search for its structure.
  void rewind(Escapes unread = Escapes::kChecked);

  /// From now on saw_watched() tells whether a member of this name was read or passed over, at any depth. `name` must outlive the document.
  void watch(std::string_view name);
  /// True also when a name that was passed over is written with escapes, so that it may be the one.
  [[nodiscard]] bool saw_watched() const;

  /// From now on, over several readings, Value::text() gives views into the document's text instead of copies. For who reads a text
  /// that outlives all that is read from it.
  void lend_texts();

  /// The outermost value. Call once per reading.
  Result<Value> root();
  /// Error "the body must be a JSON object" when it is something else.
  Result<Object> root_object();
  /// The text the document was opened over (offsets count in it).
  [[nodiscard]] std::string_view text() const;
  /// After the root was consumed: error when anything but white space follows.
  Result<void> at_end();

 private:
  explicit Document(std::unique_ptr<Reader> reader);
  std::unique_ptr<Reader> reader_;
};

/// Makes room for kPadding bytes behind the text (capacity only) and returns the view to open.
std::string_view padded(std::string& text);

/// True when `text` is exactly one valid JSON value.
[[nodiscard]] bool is_valid(std::string_view text);
/// The same value without insignificant white space; key order, escapes and number spelling unchanged.
/// Precondition: is_valid(text).
std::string compact(std::string_view text);

/// Appends `text` as a JSON string literal with quotes. Invalid UTF-8 becomes U+FFFD, U+2028/9 are escaped,
/// other non-ASCII is written as it is.
void append_string(std::string& out, std::string_view text);
/// Appends the escaped form without the quotes.
void append_escaped(std::string& out, std::string_view text);

/// Builds JSON text in order. Commas are its business; balance of begin/end is the caller's (asserted).
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}
  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& string(std::string_view text);
  template <AnyText T>
  Writer& string(const T& text) {
    separate();
    append_string(out_, text);
    return *this;
  }
  Writer& integer(std::int64_t number);
  /// NaN and infinities become null.
  Writer& number(double number);
  Writer& boolean(bool value);
  Writer& null();
  /// Verbatim JSON. Must be one whole value.
  Writer& raw(std::string_view json);
  Writer& member(std::string_view name, std::string_view text) { return key(name).string(text); }
  Writer& member(std::string_view name, const char* text) { return key(name).string(text); }
  template <AnyText T>
  Writer& member(std::string_view name, const T& text) {
    return key(name).string(text);
  }
  Writer& member(std::string_view name, std::int64_t number) { return key(name).integer(number); }
  Writer& member(std::string_view name, int number) { return key(name).integer(number); }
  Writer& member(std::string_view name, double number_) { return key(name).number(number_); }
  Writer& member(std::string_view name, bool value) { return key(name).boolean(value); }
  Writer& member_raw(std::string_view name, std::string_view json) { return key(name).raw(json); }
  [[nodiscard]] std::string& out() { return out_; }

 private:
  void separate();
  std::string& out_;
  std::size_t depth_ = 0;
  bool need_comma_ = false;
};

}  // namespace ccrules::json
