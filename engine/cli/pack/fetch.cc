#include "cli/pack/fetch.h"

#include <cstdlib>
#include <filesystem>

#include "cli/pack/download.h"
#include "cli/pack/git.h"
#include "core/limits.h"
#include "core/text.h"
#include "packs/archive.h"
#include "packs/seal.h"

namespace ccrules::cli {
namespace {

constexpr std::string_view kIndexPrefix = "index+";

bool is_url(std::string_view text) { return text.starts_with("https://") || text.starts_with("http://"); }

/// `name` beside the file at `location` (a path or an URL).
std::string beside(const std::string& location, const std::string& name) {
  return location.substr(0, location.rfind('/') + 1) + name;
}

Result<std::string> read_bounded(const Io& io, const std::string& path, std::size_t most_bytes) {
  const Files::Entry entry = io.files.look(path);
  if (entry.kind == Files::Kind::kFile && entry.bytes > most_bytes) {
    return bad_request(path + " is larger than " + std::to_string(most_bytes >> 20U) + " MiB");
  }
  return io.files.read(path);
}

/// The folder of a fetched repository, or an error; a link on the way to it is refused.
Result<std::string> folder_of(const GitSource& source, const std::string& checkout, const Io& io) {
  std::string path = checkout;
  if (source.folder.empty()) return path;
  for (const std::string_view part : text::split(source.folder, '/')) {
    path += "/";
    path += part;
    const Files::Kind kind = io.files.look(path).kind;
    if (kind != Files::Kind::kFolder && kind != Files::Kind::kFile) {
      return bad_request("the repository has no '" + source.folder + "'");
    }
  }
  return path;
}

Result<packs::Folder> fetch_repository(const std::string& source, const Io& io) {
  CCR_TRY(git, parse_git_source(source));
  const TemporaryFolder scratch;
  if (scratch.path().empty()) return internal_error("there is no room for a temporary folder");
  CCR_CHECK(fetch_git(git, scratch.path(), io.environment));
  CCR_TRY(path, folder_of(git, scratch.path(), io));
  if (io.files.look(path).kind == Files::Kind::kFile) {
    CCR_TRY(bytes, read_bounded(io, path, limits::kPackArchiveBytes));
    return packs::read_archive(bytes);
  }
  return packs::read_folder(io.files, path);
}

Result<packs::Index> parse_index(const std::string& shown, const std::string& text) {
  std::vector<config::Diagnostic> found;
  std::optional<packs::Index> index = packs::read_index(shown, text, found);
  if (!index) return bad_request(in_one_line(found));
  return *std::move(index);
}

/// What came from an index must be what the index says.
Result<void> check_row(const packs::IndexRow& row, const packs::Folder& folder) {
  CCR_TRY(seal, packs::check_seal(folder));
  if (seal.identity != row.identity) {
    return bad_request(row.source + " is not the " + row.name + " " + row.version.text() + " that the index describes");
  }
  if (!row.key.empty() && seal.key != row.key) {
    return bad_request(row.source + " is " + (seal.key.empty() ? std::string("not signed") : "signed by " + packs::short_key(seal.key)) +
                       ", but the index says it is signed by " + packs::short_key(row.key));
  }
  return {};
}

/// The error with the pack's source in front: several may be fetched for one command.
Result<packs::Folder> of_source(Result<packs::Folder> folder, const std::string& source) {
  if (!folder.ok()) folder.error().message = source + ": " + folder.error().message;
  return folder;
}

Result<Fetched> fetch_named(const std::string& asked, const IndexPlace& place, const Io& io) {
  const std::size_t at = asked.find('@');
  const std::string name = asked.substr(0, at);
  const std::string wanted = at == std::string::npos ? "*" : asked.substr(at + 1);
  const std::optional<packs::Range> range = packs::Range::parse(wanted);
  if (!range) return bad_request("'" + wanted + "' is no range of versions, such as ^1.2");
  CCR_TRY(index, fetch_index(place, io));
  const packs::IndexRow* row = index.newest(name, *range, CCR_VERSION);
  if (row == nullptr) {
    std::vector<std::string> names;
    for (const packs::IndexRow& one : index.rows) names.push_back(one.name);
    const bool known = std::find(names.begin(), names.end(), name) != names.end();
    const std::string near = known ? std::string() : text::did_you_mean(name, names);
    return bad_request("the index has no " + name + (known ? " " + wanted + " for ccrules " CCR_VERSION : "") +
                       (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  CCR_TRY(fetched, fetch(row->source, {}, io));
  CCR_CHECK(check_row(*row, fetched.folder));
  fetched.row = *row;
  fetched.source = std::string(kIndexPrefix) + place.location + "#" + asked;
  return fetched;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::error_code failed;
  const std::filesystem::path base = std::filesystem::temp_directory_path(failed);
  std::string name = (failed ? "/tmp" : base.string()) + "/ccrules-pack-XXXXXX";
  if (::mkdtemp(name.data()) != nullptr) path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::string absolute_path(const Io& io, const std::string& path) {
  const std::filesystem::path whole = std::filesystem::path(io.working_directory) / path;
  std::string out = whole.lexically_normal().string();
  while (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

std::string in_one_line(const std::vector<config::Diagnostic>& diagnostics) {
  std::string out;
  for (const config::Diagnostic& one : diagnostics) {
    if (one.warning) continue;
    if (!out.empty()) out += "; ";
    if (!one.where.file.empty()) out += one.where.file + ":";
    if (one.where.line > 0) out += std::to_string(one.where.line) + ":" + std::to_string(one.where.column) + ":";
    out += (out.empty() || !out.ends_with(':') ? "" : " ") + one.message;
    if (!one.hint.empty()) out += " (" + one.hint + ")";
  }
  return out;
}

Result<packs::Index> fetch_index(const IndexPlace& place, const Io& io) {
  if (place.location.empty()) {
    return bad_request("packs are found by name in an index: name one with --index, or in CCRULES_PACK_INDEX");
  }
  std::string location = place.location;
  if (location.starts_with("git+")) {
    CCR_TRY(git, parse_git_source(location));
    const std::string file = git.folder.empty() ? "index.json" : git.folder;
    const TemporaryFolder scratch;
    if (scratch.path().empty()) return internal_error("there is no room for a temporary folder");
    CCR_CHECK(fetch_git(git, scratch.path(), io.environment));
    git.folder = file;
    CCR_TRY(path, folder_of(git, scratch.path(), io));
    CCR_TRY(text, read_bounded(io, path, limits::kPackIndexBytes));
    CCR_TRY(index, parse_index(location, text));
    // Archives in the same repository are fetched from the same commit's name.
    const std::string folder = file.substr(0, file.rfind('/') == std::string::npos ? 0 : file.rfind('/') + 1);
    for (packs::IndexRow& row : index.rows) {
      if (!is_url(row.source) && !row.source.starts_with("git+")) {
        row.source = "git+" + git.url + "#" + git.ref + ":" + folder + row.source;
      }
    }
    return index;
  }
  if (is_url(location)) {
    CCR_TRY(text, download(location, limits::kPackIndexBytes));
    CCR_TRY(index, parse_index(location, text));
    for (packs::IndexRow& row : index.rows) {
      if (row.source.starts_with("git+") || is_url(row.source)) continue;
      row.source = beside(location, row.source);
    }
    return index;
  }
  location = absolute_path(io, location);
  CCR_TRY(text, read_bounded(io, location, limits::kPackIndexBytes));
  CCR_TRY(index, parse_index(place.location, text));
  for (packs::IndexRow& row : index.rows) {
    if (row.source.starts_with("git+") || is_url(row.source)) continue;
    if (row.source.starts_with('/') || row.source.find("..") != std::string::npos) {
      return bad_request("the index names a source outside its folder: " + row.source);
    }
    row.source = beside(location, row.source);
  }
  return index;
}

Result<Fetched> fetch(const std::string& source, const IndexPlace& index, const Io& io) {
  if (source.starts_with("git+")) {
    CCR_TRY(folder, fetch_repository(source, io));
    return Fetched{std::move(folder), source, std::nullopt};
  }
  if (is_url(source)) {
    if (source.ends_with(".git")) return bad_request("to fetch a git repository write git+" + source);
    CCR_TRY(bytes, download(source, limits::kPackArchiveBytes));
    CCR_TRY(folder, of_source(packs::read_archive(bytes), source));
    return Fetched{std::move(folder), source, std::nullopt};
  }
  if (source.starts_with(kIndexPrefix)) {
    const std::size_t hash = source.rfind('#');
    if (hash == std::string::npos) return bad_request("'" + source + "' names no pack of the index");
    return fetch_named(source.substr(hash + 1), {source.substr(kIndexPrefix.size(), hash - kIndexPrefix.size())}, io);
  }
  const std::string path = absolute_path(io, source);
  switch (io.files.look(path).kind) {
    case Files::Kind::kFolder: {
      CCR_TRY(folder, of_source(packs::read_folder(io.files, path), source));
      return Fetched{std::move(folder), path, std::nullopt};
    }
    case Files::Kind::kLink:
    case Files::Kind::kFile: {
      CCR_TRY(bytes, read_bounded(io, path, limits::kPackArchiveBytes));
      CCR_TRY(folder, of_source(packs::read_archive(bytes), source));
      return Fetched{std::move(folder), path, std::nullopt};
    }
    case Files::Kind::kOther: return bad_request(source + " is neither a folder nor an archive");
    case Files::Kind::kNone: break;
  }
  if (!packs::is_pack_name(source.substr(0, source.find('@')))) {
    return bad_request("there is no folder or archive " + source +
                       "; a pack is a folder, an archive, https://..., git+https://... or a name in an index");
  }
  if (index.location.empty()) {
    return bad_request("there is no folder or archive " + source +
                       ", and no index to look it up: name one with --index, or in CCRULES_PACK_INDEX");
  }
  return fetch_named(source, index, io);
}

}  // namespace ccrules::cli
