#include "cli/pack/author.h"

#include <algorithm>

#include "cli/load.h"
#include "cli/pack/report.h"
#include "cli/pack/store.h"
#include "cli/pack/workspace.h"
#include "packs/archive.h"

namespace ccrules::cli {
namespace {

/// The pack's folder: the argument, or where the reader stands.
std::string folder_argument(const Arguments& arguments, const Io& io) {
  return absolute_path(io, arguments.words().size() > 1 ? arguments.words()[1] : ".");
}

/// Reads a folder as a draft and prints what is wrong with it.
std::optional<Candidate> read_draft(const std::string& directory, Io& io) {
  Result<packs::Folder> folder = packs::read_folder(io.files, directory);
  if (!folder.ok()) {
    (void)fail(io, folder.error());  // the caller ends with the same code
    return std::nullopt;
  }
  std::vector<config::Diagnostic> found;
  std::optional<Candidate> draft = make_draft({*std::move(folder), directory, std::nullopt}, directory, found);
  if (!found.empty()) print_diagnostics(std::move(found), io, Where::kErr);
  return draft;
}

/// Packs in the folders beside this one that it depends on: where people keep several they keep them together.
std::vector<Candidate> siblings(const Candidate& draft, const std::string& directory, const Io& io) {
  std::vector<Candidate> out;
  const std::string around = directory.substr(0, directory.rfind('/'));
  for (const auto& [name, depend] : draft.manifest.depends) {
    const std::string beside = around + "/" + name.substr(name.find('/') == std::string::npos ? 0 : name.find('/') + 1);
    Result<packs::Folder> folder = packs::read_folder(io.files, beside);
    std::vector<config::Diagnostic> ignored;
    if (!folder.ok()) continue;
    if (std::optional<Candidate> other = make_draft({*std::move(folder), beside, std::nullopt}, beside, ignored)) {
      out.push_back(*std::move(other));
    }
  }
  return out;
}

std::vector<const Candidate*> pointers(const std::vector<Candidate>& candidates) {
  std::vector<const Candidate*> out;
  for (const Candidate& candidate : candidates) out.push_back(&candidate);
  return out;
}

std::string file_name(const packs::Manifest& manifest, packs::Compression compression) {
  std::string name = manifest.name;
  std::replace(name.begin(), name.end(), '/', '-');
  return name + "-" + manifest.version.text() + (compression == packs::Compression::kZstd ? ".tar.zst" : ".tar.gz");
}

packs::Folder new_pack(const std::string& name, bool data) {
  packs::Folder folder;
  const std::string title = name.substr(name.find('/') == std::string::npos ? 0 : name.find('/') + 1);
  folder["pack.json"] = "{\n  \"name\": \"" + name + "\",\n  \"version\": \"0.1.0\",\n  \"engine\": \"^" + CCR_VERSION +
                        "\",\n  \"kind\": \"" + (data ? "data" : "lua") +
                        "\",\n  \"summary\": \"Small requests go to a cheap model\",\n  \"license\": \"Apache-2.0\",\n"
                        "  \"needs\": [],\n  \"models\": { \"cheap\": \"a small, fast model\" }\n}\n";
  folder["README.md"] = "# " + title +
                        "\n\nSmall requests go to a cheap model.\n\n    ccrules pack install . --model cheap=PROVIDER,MODEL\n\n"
                        "Its tests run with `ccrules pack test`.\n";
  if (data) {
    folder["rules/rules.json"] =
        "{\n  \"rules\": [\n    { \"name\": \"small\", \"when\": { \"tokens\": { \"lt\": 500 } }, \"to\": \"cheap\","
        " \"reason\": \"a small request\" }\n  ]\n}\n";
    folder["tests/cases.jsonl"] =
        "{\"name\":\"499 tokens are small\",\"given\":{\"tokens\":499},\"expect\":{\"to\":\"cheap\",\"by\":\"small\"}}\n"
        "{\"name\":\"500 tokens are not\",\"given\":{\"tokens\":500},\"expect\":{\"by\":\"default\"}}\n";
  } else {
    folder["rules/rules.lua"] = "-- Small requests go to a cheap model.\nrule \"small\" {\n  when = { tokens = { lt = 500 } },\n"
                                "  to = \"cheap\",\n  reason = \"a small request\",\n}\n";
    folder["tests/rules_test.lua"] =
        "base { model = \"claude-sonnet-5-5\" }\n\ncase \"499 tokens are small\" {\n  given = { tokens = 499 },\n"
        "  expect = { to = \"cheap\", by = \"small\" },\n}\ncase \"500 tokens are not\" {\n  given = { tokens = 500 },\n"
        "  expect = { by = \"default\" },\n}\n";
  }
  return folder;
}

void write_pack(json::Writer& writer, const Candidate& pack) {
  writer.member("name", pack.manifest.name).member("version", pack.manifest.version.text()).member("identity", pack.seal.identity);
  writer.member("key", pack.seal.key);
}

}  // namespace

Exit pack_new(const Arguments& arguments, Io& io) {
  const std::string& name = arguments.words()[1];
  if (!packs::is_pack_name(name)) {
    return usage_error(io, "a pack is named in lower-case letters, digits and dashes, perhaps after an owner and a slash: acme/team-cost");
  }
  const std::string directory = absolute_path(io, name.substr(name.find('/') == std::string::npos ? 0 : name.find('/') + 1));
  const bool data = arguments.value("kind") == "data";
  const packs::Folder folder = new_pack(name, data);
  const Result<void> made = create_folder(directory, folder);
  if (!made.ok()) return fail(io, made.error());
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.new/1").member("name", name).member("path", directory).key("files");
    writer.begin_array();
    for (const auto& [path, bytes] : folder) writer.string(path);
    writer.end_array().end_object();
    io.out << text << "\n";
    return Exit::kOk;
  }
  io.out << "made " << shown_path(io, directory) << "\n";
  for (const auto& [path, bytes] : folder) io.out << "  " << path << "\n";
  io.out << "next: ccrules pack test " << shown_path(io, directory) << "\n";
  return Exit::kOk;
}

Exit pack_test(const Arguments& arguments, Io& io) {
  const std::string directory = folder_argument(arguments, io);
  const std::optional<Candidate> draft = read_draft(directory, io);
  if (!draft) return Exit::kUsage;
  const std::vector<Candidate> others = siblings(*draft, directory, io);
  rules::TestReport report = test_alone(*draft, pointers(others));
  // Files in memory are shown as the ones on the disk that they are.
  const auto real = [&](std::string& path) {
    const std::string prefix = "/pack/" + draft->manifest.name;
    if (path.starts_with(prefix)) path = directory + path.substr(prefix.size());
  };
  for (rules::CaseResult& one : report.cases) real(one.file);
  for (config::Diagnostic& one : report.problems) real(one.where.file);
  const Paint paint = paint_for_out(io);
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.test/1").member("name", draft->manifest.name);
    writer.member("passed", static_cast<std::int64_t>(report.cases.size() - report.failed()));
    writer.member("failed", static_cast<std::int64_t>(report.failed())).key("cases").begin_array();
    for (const rules::CaseResult& one : report.cases) {
      writer.begin_object().member("file", one.file).member("line", one.line).member("name", one.name).member("passed", one.passed);
      if (!one.passed) writer.member("expected", one.expected).member("actual", one.actual);
      writer.end_object();
    }
    writer.end_array().member_raw("problems", diagnostics_json(report.problems)).end_object();
    io.out << text << "\n";
  } else {
    for (const rules::CaseResult& one : report.cases) {
      io.out << "  " << (one.passed ? paint.green("ok") : paint.red("no")) << "  " << plain_text(one.name) << "\n";
      if (one.passed) continue;
      io.out << "      expected  " << plain_text(one.expected) << "\n      actual    " << plain_text(one.actual) << "\n      at        "
             << shown_path(io, one.file) << ":" << one.line << "\n";
    }
    io.out << draft->manifest.name << " " << draft->manifest.version.text() << ": " << outcome_of(report) << "\n";
  }
  if (!report.problems.empty()) {
    print_diagnostics(report.problems, io, Where::kErr);
    return Exit::kUsage;
  }
  if (report.cases.empty()) return usage_error(io, "the pack has no tests: put some into tests/");
  return report.failed() > 0 ? Exit::kFailed : Exit::kOk;
}

Exit pack_build(const Arguments& arguments, Io& io) {
  const std::string directory = folder_argument(arguments, io);
  std::optional<Candidate> draft = read_draft(directory, io);
  if (!draft) return Exit::kUsage;
  if (const Result<void> closed = packs::close_unsigned(draft->folder); !closed.ok()) return fail(io, closed.error());
  const Result<packs::Seal> seal = packs::check_seal(draft->folder);
  if (!seal.ok()) return fail(io, seal.error());
  draft->seal = *seal;
  std::string out = arguments.value("out");
  const bool zstd = arguments.value("format") == "zstd" || out.ends_with(".zst");
  const packs::Compression compression = zstd ? packs::Compression::kZstd : packs::Compression::kGzip;
  if (out.empty()) out = file_name(draft->manifest, compression);
  const Result<std::string> archive = packs::write_archive(draft->folder, compression);
  if (!archive.ok()) return fail(io, archive.error());
  if (const Result<void> written = replace_file(absolute_path(io, out), *archive); !written.ok()) return fail(io, written.error());
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.build/1").member("file", absolute_path(io, out));
    write_pack(writer, *draft);
    writer.member("bytes", static_cast<std::int64_t>(archive->size())).end_object();
    io.out << text << "\n";
  } else {
    io.out << "built " << out << "  " << draft->seal.identity << "\n";
    io.out << (draft->seal.key.empty() ? "not signed (ccrules pack sign)\n" : "signed by " + draft->seal.key + "\n");
  }
  return Exit::kOk;
}

Exit pack_sign(const Arguments& arguments, Io& io) {
  const std::string directory = folder_argument(arguments, io);
  if (!arguments.has("key")) return usage_error(io, "name the private key: --key key.pem (openssl genpkey -algorithm ed25519 -out key.pem)");
  std::optional<Candidate> draft = read_draft(directory, io);
  if (!draft) return Exit::kUsage;
  const Result<std::string> pem = io.files.read(absolute_path(io, arguments.value("key")));
  if (!pem.ok()) return fail(io, pem.error());
  if (const Result<void> done = packs::sign(draft->folder, *pem); !done.ok()) return fail(io, done.error());
  const Result<packs::Seal> seal = packs::check_seal(draft->folder);
  if (!seal.ok()) return fail(io, seal.error());
  draft->seal = *seal;
  for (const std::string_view name : {packs::kSumsFile, packs::kSignatureFile}) {
    const Result<void> written = replace_file(directory + "/" + std::string(name), draft->folder.find(name)->second);
    if (!written.ok()) return fail(io, written.error());
  }
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.sign/1");
    write_pack(writer, *draft);
    writer.end_object();
    io.out << text << "\n";
  } else {
    io.out << "signed " << draft->manifest.name << " " << draft->manifest.version.text() << " by " << draft->seal.key << "\n";
  }
  return Exit::kOk;
}

Exit pack_verify(const Arguments& arguments, Io& io) {
  const std::string& what = arguments.words()[1];
  Result<Fetched> fetched = fetch(what, index_place(arguments, io), io);
  if (!fetched.ok()) return fail(io, fetched.error());
  std::string wanted;
  if (arguments.has("key")) {
    const Result<std::string> pem = io.files.read(absolute_path(io, arguments.value("key")));
    if (!pem.ok()) return fail(io, pem.error());
    const Result<std::string> key = packs::key_text_of_pem(*pem);
    if (!key.ok()) return fail(io, key.error());
    wanted = *key;
  }
  std::vector<config::Diagnostic> found;
  const std::optional<Candidate> pack = make_candidate(*std::move(fetched), what, found);
  if (!pack) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return Exit::kUsage;
  }
  if (!wanted.empty() && pack->seal.key != wanted) {
    const std::string& key = pack->seal.key;
    return usage_error(io, what + (key.empty() ? " is not signed, and --key asks for the signature of "
                                               : " is signed by " + packs::short_key(key) + ", not by the key of --key, ") +
                               packs::short_key(wanted));
  }
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.verify/1");
    write_pack(writer, *pack);
    writer.member("files", static_cast<std::int64_t>(pack->folder.size())).end_object();
    io.out << text << "\n";
  } else {
    io.out << paint_for_out(io).green("ok") << "  " << pack->manifest.name << " " << pack->manifest.version.text() << "  "
           << pack->seal.identity << "\n"
           << (pack->seal.key.empty() ? std::string("    not signed: whoever holds it may have changed it") : "    signed by " + pack->seal.key)
           << "\n";
  }
  return Exit::kOk;
}

Exit pack_publish(const Arguments& arguments, Io& io) {
  if (!arguments.has("index")) return usage_error(io, "name the index file: --index index.json (it is made when it does not exist)");
  const std::string index_file = absolute_path(io, arguments.value("index"));
  const std::string& what = arguments.words()[1];
  Result<Fetched> fetched = fetch(what, {}, io);
  if (!fetched.ok()) return fail(io, fetched.error());
  if (const Result<void> closed = packs::close_unsigned(fetched->folder); !closed.ok()) return fail(io, closed.error());
  std::vector<config::Diagnostic> found;
  const std::optional<Candidate> pack = make_candidate(*std::move(fetched), what, found);
  packs::Index index;
  if (pack && io.files.exists(index_file)) {
    const Result<std::string> text = io.files.read(index_file);
    if (!text.ok()) return fail(io, text.error());
    if (std::optional<packs::Index> read = packs::read_index(index_file, *text, found)) index = *std::move(read);
  }
  if (!found.empty() || !pack) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return Exit::kUsage;
  }
  const packs::Manifest& manifest = pack->manifest;
  for (const packs::IndexRow& row : index.rows) {
    if (row.name != manifest.name || row.version != manifest.version || row.identity == pack->seal.identity) continue;
    return usage_error(io, "the index has another " + manifest.name + " " + manifest.version.text() +
                               " already; published versions do not change: give it a new version");
  }
  const std::string file = file_name(manifest, packs::Compression::kGzip);
  packs::IndexRow row;
  row.name = manifest.name;
  row.version = manifest.version;
  row.source = file;
  row.identity = pack->seal.identity;
  row.key = pack->seal.key;
  row.kind = packs::kind_name(manifest.kind);
  row.summary = manifest.summary;
  row.engine = manifest.engine.text();
  row.needs = manifest.needs;
  for (const auto& [name, depend] : manifest.depends) row.depends[name] = depend.range.text();
  index.put(row);
  const Result<std::string> archive = packs::write_archive(pack->folder);
  if (!archive.ok()) return fail(io, archive.error());
  const std::string archive_file = index_file.substr(0, index_file.rfind('/') + 1) + file;
  // The archive first: an index never names what is not there.
  if (const Result<void> done = replace_file(archive_file, *archive); !done.ok()) return fail(io, done.error());
  if (const Result<void> done = replace_file(index_file, packs::to_json(index)); !done.ok()) return fail(io, done.error());
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.publish/1").member("index", index_file).member("file", archive_file);
    write_pack(writer, *pack);
    writer.end_object();
    io.out << text << "\n";
  } else {
    io.out << "published " << manifest.name << " " << manifest.version.text() << " in " << shown_path(io, index_file) << " as "
           << file << "\n"
           << "commit both files where the index is served from\n";
  }
  return Exit::kOk;
}

}  // namespace ccrules::cli
