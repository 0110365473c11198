#include "provider/sigv4.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <vector>

#include "core/digest.h"
#include "core/hmac.h"
#include "core/percent.h"
#include "core/text.h"

namespace ccrules::provider {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string hex(std::string_view bytes) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kHex[static_cast<unsigned char>(c) >> 4];
    text += kHex[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

/// Parameters by name, then value; they are encoded already.
std::string sorted_query(std::string_view query) {
  std::vector<std::string> parts;
  for (const std::string_view part : text::split(query, '&')) {
    if (part.empty()) continue;
    parts.emplace_back(part);
    if (part.find('=') == std::string_view::npos) parts.back() += '=';
  }
  std::sort(parts.begin(), parts.end());
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : "&") + part;
  return text;
}

/// "20150830T123600Z".
std::string time_text(std::int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[20];
  const std::size_t size = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return {text, size};
}

/// By lower-case name; a name that comes twice has its values joined.
std::map<std::string, std::string> signed_headers(const AwsRequest& request, const http::Headers& headers) {
  std::map<std::string, std::string> chosen;
  chosen["host"] = request.host;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto [name, value] = headers.at(i);
    const std::string lower = text::lower(name);
    if (lower != "content-type" && !lower.starts_with("x-amz-")) continue;
    std::string& slot = chosen[lower];
    slot += (slot.empty() ? "" : ",") + std::string(text::trim(value));
  }
  return chosen;
}

}  // namespace

Result<AwsKey> parse_aws_key(std::string_view text) {
  const std::vector<std::string_view> parts = text::split(text, ':');
  const bool whole = (parts.size() == 2 || parts.size() == 3) &&
                     std::none_of(parts.begin(), parts.end(), [](std::string_view part) { return part.empty(); });
  if (!whole) return bad_request("must be KEY-ID:SECRET or KEY-ID:SECRET:SESSION-TOKEN for auth sigv4");
  AwsKey key;
  key.id = parts[0];
  key.secret = parts[1];
  if (parts.size() == 3) key.session = parts[2];
  return key;
}

void sign_aws(const AwsRequest& request, const AwsKey& key, http::Headers& headers) {
  const std::string time = time_text(request.wall_us);
  const std::string day = time.substr(0, 8);
  headers.set("x-amz-date", time);
  if (!key.session.empty()) headers.set("x-amz-security-token", key.session);

  const std::size_t mark = request.target.find('?');
  const std::string_view path = request.target.substr(0, mark);
  const std::string_view query = mark == std::string_view::npos ? std::string_view() : request.target.substr(mark + 1);
  // The path is encoded once more than it goes out, for every service but one.
  std::string canonical = std::string(request.method) + "\n" + percent_encoded(path.empty() ? "/" : path, "/") + "\n";
  canonical += sorted_query(query) + "\n";
  std::string names;
  for (const auto& [name, value] : signed_headers(request, headers)) {
    canonical += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  canonical += "\n" + names + "\n" + digest::sha256_hex(request.body);

  const std::string scope = day + "/" + std::string(request.scope) + "/aws4_request";
  const std::string to_sign = std::string(kAlgorithm) + "\n" + time + "\n" + scope + "\n" + digest::sha256_hex(canonical);
  std::string secret = digest::hmac_sha256("AWS4" + key.secret, day);
  for (const std::string_view part : text::split(request.scope, '/')) secret = digest::hmac_sha256(secret, part);
  secret = digest::hmac_sha256(secret, "aws4_request");
  headers.set("authorization", std::string(kAlgorithm) + " Credential=" + key.id + "/" + scope + ", SignedHeaders=" + names +
                                   ", Signature=" + hex(digest::hmac_sha256(secret, to_sign)));
}

}  // namespace ccrules::provider
