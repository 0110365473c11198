#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/checksum.h"
#include "dialect/signature.h"

/// Writes what Bedrock streams: messages of application/vnd.amazon.eventstream.
namespace ccrules::test {

inline std::string network_order(std::uint32_t number, int bytes = 4) {
  std::string text;
  for (int at = bytes - 1; at >= 0; --at) text += static_cast<char>(number >> (8 * at) & 255u);
  return text;
}

/// A header whose value is a string.
inline std::string amazon_header(std::string_view name, std::string_view value) {
  std::string header = network_order(static_cast<std::uint32_t>(name.size()), 1);
  header += name;
  header += '\x07';
  header += network_order(static_cast<std::uint32_t>(value.size()), 2);
  header += value;
  return header;
}

/// @param headers as amazon_header() makes them, one behind the other
inline std::string amazon_message(std::string_view headers, std::string_view payload) {
  std::string message = network_order(static_cast<std::uint32_t>(headers.size() + payload.size() + 16));
  message += network_order(static_cast<std::uint32_t>(headers.size()));
  message += network_order(digest::crc32(message));
  message += headers;
  message += payload;
  message += network_order(digest::crc32(message));
  return message;
}

/// One of Anthropic's events, as InvokeModelWithResponseStream wraps it.
inline std::string amazon_chunk(std::string_view event_json) {
  const std::string headers = amazon_header(":event-type", "chunk") + amazon_header(":content-type", "application/json") +
                              amazon_header(":message-type", "event");
  return amazon_message(headers, R"({"bytes":")" + dialect::signature::to_base64(event_json) + R"(","p":"abcdefgh"})");
}

inline std::string amazon_exception(std::string_view type, std::string_view message) {
  const std::string headers = amazon_header(":exception-type", type) + amazon_header(":content-type", "application/json") +
                              amazon_header(":message-type", "exception");
  return amazon_message(headers, R"({"message":")" + std::string(message) + R"("})");
}

/// The data of server-sent events, one string each.
inline std::vector<std::string> data_of(const std::vector<std::string>& events) {
  std::vector<std::string> all;
  for (const std::string& event : events) {
    const std::size_t begin = event.find("data: ") + 6;
    all.push_back(event.substr(begin, event.find('\n', begin) - begin));
  }
  return all;
}

}  // namespace ccrules::test
