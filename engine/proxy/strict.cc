#include "proxy/strict.h"

#include <string_view>
#include <utility>

#include "core/limits.h"
#include "core/text.h"

namespace ccrules::proxy {
namespace {

bool must_be_kept(const std::vector<std::string>& globs, std::string_view what) {
  bool kept = false;
  for (const std::string_view glob : globs) {
    const bool except = glob.starts_with('!');
    if (text::glob_match(glob.substr(except ? 1 : 0), what)) kept = !except;
  }
  return kept;
}

}  // namespace

Result<void> carried_whole(const config::Snapshot& config, const rules::Decision& decision, const config::Provider& provider,
                           const chat::LossNotes& losses) {
  const std::vector<std::string>& globs = decision.strict ? *decision.strict : config.strict;
  if (globs.empty()) return {};
  std::string lost;
  std::size_t count = 0;
  for (const chat::Loss& loss : losses.all()) {
    if (!must_be_kept(globs, loss.what)) continue;
    if (++count > limits::kToldLosses) continue;
    if (!lost.empty()) lost += "; ";
    lost += text::to_valid_utf8(loss.what) + " (" + loss.why + ")";
  }
  if (count == 0) return {};
  if (count > limits::kToldLosses) lost += "; and " + std::to_string(count - limits::kToldLosses) + " more";
  Error error;
  error.code = ErrorCode::kLoss;
  error.origin = Origin::kClient;
  error.retry = Retry::kNextTarget;
  error.http_status = 400;
  error.should_retry_false = true;
  error.provider = provider.id;
  error.message = "strict mode: provider '" + provider.id + "' (" + provider.dialect + ") would not get all of this request: " + lost +
                  "; leave that out, or let a rule send it elsewhere";
  return error;
}

}  // namespace ccrules::proxy
