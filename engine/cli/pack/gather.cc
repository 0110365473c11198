#include "cli/pack/gather.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cli/paint.h"
#include "core/limits.h"

namespace ccrules::cli {

Result<void> Gathering::gather(const std::vector<std::string>& sources, bool again) {
  for (const std::string& source : sources) CCR_CHECK(take(source, again));
  if (!diagnostics_.empty()) return bad_request("not a sound pack");
  if (candidates_.empty()) return {};
  CCR_CHECK(check_keys());
  check_dependencies();
  if (!diagnostics_.empty()) return bad_request("the packs do not fit together");
  return {};
}

std::vector<const Candidate*> Gathering::all() const {
  std::vector<const Candidate*> all;
  for (const Candidate& candidate : candidates_) all.push_back(&candidate);
  for (const Candidate& other : others_) all.push_back(&other);
  return all;
}

// Fetches a pack and everything it depends on that is not there yet.
Result<void> Gathering::take(const std::string& source, bool again) {
  if (candidates_.size() >= limits::kPackDepends) return bad_request("too many packs depend on each other");
  if (io_.err_is_terminal) io_.err << paint_for_err(io_).dim("fetching " + source) << "\n";
  Result<Fetched> fetched = fetch(source, index_, io_);
  if (!fetched.ok()) return fetched.error();
  std::optional<Candidate> candidate = make_candidate(*std::move(fetched), source, diagnostics_);
  if (!candidate) return bad_request("not a sound pack");
  const std::string& name = candidate->manifest.name;
  if (find(name) != nullptr) return {};
  const packs::LockedPack* locked = workspace_.lock.find(name);
  if (again && locked != nullptr && locked->identity == candidate->seal.identity && locked->key == candidate->seal.key) return {};
  candidates_.push_back(*std::move(candidate));
  const std::string of = candidates_.back().manifest.name;
  const auto depends = candidates_.back().manifest.depends;  // the vector grows below
  for (const auto& [other, depend] : depends) CCR_CHECK(take_dependency(of, other, depend));
  return {};
}

Result<void> Gathering::take_dependency(const std::string& of, const std::string& name, const packs::Manifest::Depend& depend) {
  if (find(name) != nullptr) return {};
  if (const packs::LockedPack* locked = workspace_.lock.find(name)) {
    const std::optional<packs::Version> version = packs::Version::parse(locked->version);
    if (version && depend.range.contains(*version)) return {};
  }
  if (index_.location.empty()) return {};  // check_dependencies() says what is missing
  Result<void> taken = take(name + "@" + depend.range.text(), false);
  if (taken.ok()) return taken;
  return bad_request(of + " depends on " + name + " " + depend.range.text() + ": " + taken.error().message);
}

const Candidate* Gathering::find(const std::string& name) const {
  const auto found = std::find_if(candidates_.begin(), candidates_.end(),
                                  [&name](const Candidate& one) { return one.manifest.name == name; });
  return found == candidates_.end() ? nullptr : &*found;
}

// A pack that was locked with a key stays with it; --key names the one that all must have.
Result<void> Gathering::check_keys() const {
  std::string wanted;
  if (arguments_.has("key")) {
    CCR_TRY(pem, io_.files.read(absolute_path(io_, arguments_.value("key"))));
    CCR_TRY(key, packs::key_text_of_pem(pem));
    wanted = std::move(key);
  }
  for (const Candidate& candidate : candidates_) {
    const std::string& key = candidate.seal.key;
    const std::string it_is = key.empty() ? "is not signed" : "is signed by " + packs::short_key(key);
    const packs::LockedPack* locked = workspace_.lock.find(candidate.manifest.name);
    if (locked != nullptr && !locked->key.empty() && locked->key != key) {
      return bad_request("pack " + candidate.manifest.name + " is locked to the key " + packs::short_key(locked->key) +
                         ", but this copy " + it_is + "; if its author really changed that, `ccrules pack remove " +
                         candidate.manifest.name + "` first");
    }
    if (!wanted.empty() && key != wanted) {
      return bad_request("pack " + candidate.manifest.name + " " + it_is +
                         (key.empty() ? ", and --key asks for the signature of " : ", not by the key of --key, ") +
                         packs::short_key(wanted));
    }
  }
  return {};
}

void Gathering::check_dependencies() {
  for (const packs::LockedPack& locked : workspace_.lock.packs) {
    if (find(locked.name) != nullptr) continue;
    std::vector<config::Diagnostic> ignored;  // what is installed and broken is said when the rules are loaded
    if (std::optional<Candidate> other = installed(workspace_, locked, io_, ignored)) others_.push_back(*std::move(other));
  }
  std::vector<const packs::Manifest*> manifests;
  for (const Candidate* candidate : all()) manifests.push_back(&candidate->manifest);
  (void)packs::in_dependency_order(manifests, diagnostics_);  // for what it reports
}

}  // namespace ccrules::cli
