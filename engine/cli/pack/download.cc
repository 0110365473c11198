#include "cli/pack/download.h"

#include <optional>
#include <string_view>

#include "async/uv_dialer.h"
#include "async/uv_loop.h"
#include "cli/paint.h"
#include "core/limits.h"
#include "core/text.h"
#include "http/client.h"

namespace ccrules::cli {
namespace {

/// Path and query of an URL, and the URL without them.
struct Split {
  std::string origin;
  std::string target;
};

Result<Split> split(const std::string& url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return bad_request("'" + url + "' is no URL");
  const std::size_t slash = url.find_first_of("/?#", scheme + 3);
  if (slash == std::string::npos || url[slash] != '/' || url.find('#') != std::string::npos) {
    return bad_request("'" + url + "' names no file");
  }
  for (const char c : url) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
      return bad_request("an URL holds no blanks or other letters than ASCII");
    }
  }
  return Split{url.substr(0, slash), url.substr(slash)};
}

bool is_this_machine(std::string_view host) { return host == "localhost" || host == "127.0.0.1" || host == "::1"; }

Task<Result<std::string>> get(http::Client& client, const http::BaseUrl& base, const std::string& target, const std::string& url,
                              std::size_t most_bytes, StopToken stop) {
  http::Headers headers;
  headers.add("user-agent", "ccrules/" CCR_VERSION);
  headers.add("accept", "*/*");
  http::ClientRequest request;
  request.method = "GET";
  request.target = target;
  request.host_header = base.host_header;
  request.headers = &headers;
  const http::ClientTimeouts timeouts;
  Result<std::unique_ptr<http::ReplyStream>> sent = co_await client.send(base.origin, request, timeouts, stop);
  if (!sent.ok()) {
    Error error = std::move(sent).error();
    error.message = url + ": " + error.message;
    // A server that speaks TLS closes the connection when it reads a plain request.
    if (!base.origin.tls && error.code == ErrorCode::kConnectionLost) error.message += "; if it speaks TLS, write https://";
    co_return error;
  }
  const auto reply = *std::move(sent);
  const int status = reply->status();
  if (status / 100 == 3) {
    const std::string location(reply->headers().get("location"));
    co_return bad_request(url + " redirects to " + (location.empty() ? "somewhere else" : plain_text(text::to_valid_utf8(location))) +
                          "; redirects are not followed: name that address if you trust it");
  }
  if (status != 200) co_return bad_request(url + " answers " + std::to_string(status));
  Result<std::string> body = co_await http::read_all(*reply, most_bytes, stop);
  if (!body.ok() && body.error().code == ErrorCode::kTooLarge) {
    co_return bad_request(url + " is larger than " + std::to_string(most_bytes >> 20U) + " MiB");
  }
  co_return body;
}

struct Download {
  const http::BaseUrl& base;
  const std::string& target;
  const std::string& url;
  std::size_t most_bytes;
  std::optional<Result<std::string>> result;
};

Task<void> run(UvLoop& loop, http::Client& client, Download& download) {
  StopSource stop;
  Deadline deadline(loop, stop);
  deadline.set(limits::kPackFetchTime);
  Result<std::string> got =
      co_await get(client, download.base, download.target, download.url, download.most_bytes, stop.token());
  if (!got.ok() && got.error().code == ErrorCode::kCancelled) {
    Error late = bad_request(download.url + " did not arrive in time");
    late.code = ErrorCode::kUpstreamTimeout;
    got = std::move(late);
  }
  download.result = std::move(got);
  client.close_idle();
  loop.stop();
}

}  // namespace

Result<std::string> download(const std::string& url, std::size_t most_bytes) {
  CCR_TRY(parts, split(url));
  CCR_TRY(base, http::parse_base_url(parts.origin));
  if (!base.origin.tls && !is_this_machine(base.origin.host)) {
    return bad_request("packs are only fetched over https (got '" + url + "')");
  }
  Download download{base, parts.target, url, most_bytes, std::nullopt};
  UvLoop loop;
  UvDialer dialer(loop);
  http::Client client(loop, dialer);
  loop.post([&loop, &client, &download] { spawn(run(loop, client, download)); });
  loop.run();
  return *std::move(download.result);
}

}  // namespace ccrules::cli
