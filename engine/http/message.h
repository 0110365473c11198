#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/stop.h"
#include "async/task.h"
#include "core/result.h"

namespace ccrules::http {

/// Header fields in order of arrival; names compare without case. One buffer, no allocation per field.
class Headers {
 public:
  void add(std::string_view name, std::string_view value);
  /// Replaces all fields of that name by one.
  void set(std::string_view name, std::string_view value);
  void remove(std::string_view name);
  /// First value, trimmed; empty when absent.
  [[nodiscard]] std::string_view get(std::string_view name) const noexcept;
  [[nodiscard]] bool has(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  [[nodiscard]] std::pair<std::string_view, std::string_view> at(std::size_t index) const noexcept;
  void clear() noexcept;

  // For the parser, which gets fields in pieces: open_field, extend_name…, begin_value, extend_value…,
  // close_field.
  void open_field();
  void extend_name(std::string_view piece);
  void begin_value();
  void extend_value(std::string_view piece);
  void close_field();
  /// Gives back memory that an unusually large head has taken.
  void shrink();

 private:
  struct Field {
    std::uint32_t name_at, name_size, value_at, value_size;
  };
  [[nodiscard]] const Field* find(std::string_view name) const noexcept;

  std::string bytes_;
  std::vector<Field> fields_;
  std::uint64_t lengths_ = 0;  ///< bit n: some name had n letters (modulo 64); most names that are asked for are not there
};

/// Hop-by-hop headers, host, content-length and accept-encoding: never forwarded (RFC 9110 7.6.1, G-28).
[[nodiscard]] bool is_hop_by_hop(std::string_view name) noexcept;

/// How a body is encoded (RFC 9110, 8.4). One coding at a time; several in a row are kUnknown.
enum class Coding : std::uint8_t { kIdentity, kGzip, kBrotli, kZstd, kUnknown };

struct RequestHead {
  std::string method;
  std::string target;  ///< path and query, as sent; an absolute form is not left by the server
  Headers headers;
  [[nodiscard]] std::string_view path() const noexcept;   ///< target without query
  [[nodiscard]] std::string_view query() const noexcept;  ///< without '?', empty when none
};

/// What one read of a body brought. The view lives until the reader's next suspension.
struct Chunk {
  std::string_view bytes;
  bool end = false;    ///< the body is complete (bytes may still hold its last part)
  bool quiet = false;  ///< nothing came within the patience; the connection is fine, read again
};

/// A reply whose head has arrived and whose body is still coming. Destroying it unread closes the connection;
/// destroying it after `end` returns it to the pool.
class ReplyStream {
 public:
  virtual ~ReplyStream() = default;
  [[nodiscard]] virtual int status() const noexcept = 0;
  [[nodiscard]] virtual const Headers& headers() const noexcept = 0;
  /// Next bytes. A connection that ends before the body does is kConnectionLost, never an end.
  /// `patience` zero: wait as long as `stop` allows.
  virtual Task<Result<Chunk>> read(std::chrono::milliseconds patience, StopToken stop) = 0;
  /// How the body came; what read() gives is decoded.
  [[nodiscard]] virtual Coding coding() const noexcept { return Coding::kIdentity; }
  /// Appends to `copy`, from now on, the encoded bytes behind what read() gives. Must be alive while reading.
  virtual void keep_encoded(std::string& copy) noexcept { (void)copy; }
};

/// The whole body, or kTooLarge beyond `most_bytes`.
Task<Result<std::string>> read_all(ReplyStream& reply, std::size_t most_bytes, StopToken stop);

/// "Retry-After" in milliseconds from seconds, an HTTP date or retry-after-ms; -1 when absent or nonsense.
std::int64_t retry_after_ms(const Headers& headers, std::int64_t wall_us);

}  // namespace ccrules::http
