#include "http/message.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "core/limits.h"
#include "core/text.h"
#include "http/name_set.h"

namespace ccrules::http {
namespace {

// What an ordinary head needs: one allocation each.
constexpr std::size_t kFirstBytes = 512;
constexpr std::size_t kFirstFields = 16;

std::string_view slice(const std::string& bytes, std::uint32_t at, std::uint32_t size) noexcept {
  return std::string_view(bytes.data() + at, size);
}

/// IMF-fixdate ("Sun, 06 Nov 1994 08:49:37 GMT") in seconds since 1970; nullopt for anything else.
std::optional<std::int64_t> parse_date(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* end = strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const int day = parts.tm_mday;
  const std::int64_t seconds = timegm(&parts);
  if (parts.tm_mday != day) return std::nullopt;  // it takes 30 February for a day in March
  return seconds;
}

}  // namespace

void Headers::add(std::string_view name, std::string_view value) {
  value = text::trim(value);
  open_field();
  Field& field = fields_.back();
  field.name_size = static_cast<std::uint32_t>(name.size());
  field.value_at = field.name_at + field.name_size;
  field.value_size = static_cast<std::uint32_t>(value.size());
  lengths_ |= std::uint64_t{1} << name.size() % 64;
  bytes_.append(name).append(value);
}

void Headers::open_field() {
  if (bytes_.capacity() < kFirstBytes) bytes_.reserve(kFirstBytes);
  if (fields_.capacity() == 0) fields_.reserve(kFirstFields);
  Field field{};
  field.name_at = static_cast<std::uint32_t>(bytes_.size());
  fields_.push_back(field);
}

void Headers::extend_name(std::string_view piece) {
  bytes_.append(piece);
  fields_.back().name_size += static_cast<std::uint32_t>(piece.size());
}

void Headers::begin_value() {
  lengths_ |= std::uint64_t{1} << fields_.back().name_size % 64;
  fields_.back().value_at = static_cast<std::uint32_t>(bytes_.size());
}

void Headers::extend_value(std::string_view piece) {
  bytes_.append(piece);
  fields_.back().value_size += static_cast<std::uint32_t>(piece.size());
}

void Headers::close_field() {
  Field& field = fields_.back();
  const std::string_view value = slice(bytes_, field.value_at, field.value_size);
  const std::string_view trimmed = text::trim(value);
  field.value_at += static_cast<std::uint32_t>(trimmed.data() - value.data());
  field.value_size = static_cast<std::uint32_t>(trimmed.size());
}

void Headers::shrink() {
  if (bytes_.capacity() > 8 * kFirstBytes) text::give_back(bytes_);
  if (fields_.capacity() > 8 * kFirstFields) std::vector<Field>().swap(fields_);
}

void Headers::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void Headers::remove(std::string_view name) {
  // The bytes stay: headers are short-lived, and what others read must not move.
  if (!has(name)) return;
  std::erase_if(fields_, [&](const Field& field) {
    return text::equals_ignore_case(slice(bytes_, field.name_at, field.name_size), name);
  });
}

const Headers::Field* Headers::find(std::string_view name) const noexcept {
  if ((lengths_ >> name.size() % 64 & 1) == 0) return nullptr;
  for (const Field& field : fields_) {
    if (field.name_size == name.size() && text::equals_ignore_case(slice(bytes_, field.name_at, field.name_size), name)) return &field;
  }
  return nullptr;
}

std::string_view Headers::get(std::string_view name) const noexcept {
  const Field* field = find(name);
  return field == nullptr ? std::string_view() : slice(bytes_, field->value_at, field->value_size);
}

bool Headers::has(std::string_view name) const noexcept {
  return find(name) != nullptr;
}

std::pair<std::string_view, std::string_view> Headers::at(std::size_t index) const noexcept {
  const Field& field = fields_[index];
  return {slice(bytes_, field.name_at, field.name_size), slice(bytes_, field.value_at, field.value_size)};
}

void Headers::clear() noexcept {
  fields_.clear();
  lengths_ = 0;
  bytes_.clear();
}

bool is_hop_by_hop(std::string_view name) noexcept {
  static constexpr NameSet kNames{std::array<std::string_view, 13>{
      "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
      "trailers", "upgrade", "transfer-encoding", "host", "content-length", "accept-encoding"}};
  return kNames.has(name);
}

std::string_view RequestHead::path() const noexcept {
  return std::string_view(target).substr(0, target.find('?'));
}

std::string_view RequestHead::query() const noexcept {
  const std::size_t mark = target.find('?');
  return mark == std::string::npos ? std::string_view() : std::string_view(target).substr(mark + 1);
}

Task<Result<std::string>> read_all(ReplyStream& reply, std::size_t most_bytes, StopToken stop) {
  std::string body;
  if (const auto length = text::to_int(reply.headers().get("content-length"));
      length.has_value() && *length > 0) {
    body.reserve(std::min(static_cast<std::size_t>(*length), std::min(most_bytes, limits::kReadAheadBytes)) +
                 64);
  }
  for (;;) {
    CCR_CO_TRY(chunk, co_await reply.read(std::chrono::milliseconds(0), stop));
    if (body.size() + chunk.bytes.size() > most_bytes) {
      Error error;
      error.code = ErrorCode::kTooLarge;
      error.origin = Origin::kUpstream;
      error.retry = Retry::kNextTarget;
      error.http_status = 502;
      error.message = "the upstream's reply is larger than " + std::to_string(most_bytes) + " bytes";
      co_return error;
    }
    body.append(chunk.bytes);
    if (chunk.end) co_return body;
  }
}

std::int64_t retry_after_ms(const Headers& headers, std::int64_t wall_us) {
  constexpr std::int64_t kLongest_s = 7 * 24 * 3600;
  if (const auto precise = text::to_int(headers.get("retry-after-ms"));
      precise.has_value() && *precise >= 0) {
    return std::min(*precise, kLongest_s * 1000);
  }
  const std::string_view value = headers.get("retry-after");
  if (value.empty()) return -1;
  if (const auto seconds = text::to_int(value); seconds.has_value()) {
    return *seconds < 0 ? -1 : std::min(*seconds, kLongest_s) * 1000;
  }
  const auto date = parse_date(value);
  if (!date.has_value()) return -1;
  const std::int64_t wait_ms = *date * 1000 - wall_us / 1000;
  return std::clamp<std::int64_t>(wait_ms, 0, kLongest_s * 1000);
}

}  // namespace ccrules::http
