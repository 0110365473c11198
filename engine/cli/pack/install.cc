#include "cli/pack/install.h"

#include <algorithm>
#include <filesystem>

#include "cli/load.h"
#include "cli/pack/report.h"
#include "cli/pack/store.h"
#include "core/limits.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

/// True when a provider that is there is among the suggestions.
bool suggestion_is_served(const Workspace& workspace, const packs::Manifest::Model& model) {
  return std::any_of(model.suggests.begin(), model.suggests.end(), [&workspace](const std::string& target) {
    const config::Provider* provider = workspace.config->provider(target.substr(0, target.find(',')));
    return provider != nullptr && provider->enabled;
  });
}

/// Aliases of the user's own files and of other packs.
std::vector<std::string> own_aliases(const Workspace& workspace, const Io& io) {
  std::vector<config::Diagnostic> ignored;
  std::vector<rules::RuleSource> sources = rules::rule_sources(*workspace.config, io.files, ignored);
  const std::unique_ptr<rules::RuleSet> set = rules::load_rules(*workspace.config, io.files, std::move(sources), ignored);
  std::vector<std::string> names;
  if (set == nullptr) return names;
  for (const auto& [name, target] : set->targets.aliases()) names.push_back(name);
  return names;
}

/// "NAME=VALUE" texts of a flag that may be given more than once.
Result<std::map<std::string, std::string>> pairs(const std::vector<std::string>& given, const char* flag) {
  std::map<std::string, std::string> out;
  for (const std::string& text : given) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return bad_request(std::string("--") + flag + " wants NAME=VALUE (got '" + text + "')");
    }
    out[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return out;
}

/// One installation: what was asked for and what it depends on, checked, tried out, shown, confirmed and written.
class Installation {
 public:
  Installation(const Arguments& arguments, Io& io, Workspace workspace)
      : arguments_(arguments), io_(io), paint_(paint_for_err(io)), workspace_(std::move(workspace)), index_(index_place(arguments, io)) {}

  /// `again`: the sources are those of installed packs, which may be as they were.
  Exit run(const std::vector<std::string>& sources, bool again) {
    again_ = again;
    if (const Result<void> read = read_flags(); !read.ok()) return fail(io_, read.error());
    for (const std::string& source : sources) {
      if (const Result<void> taken = take(source); !taken.ok()) return refuse(taken.error());
    }
    if (!diagnostics_.empty()) return refuse_diagnostics();
    if (candidates_.empty()) return unchanged();
    if (const Result<void> known = check_aliases(); !known.ok()) return fail(io_, known.error());
    if (const Result<void> fits = check_keys(); !fits.ok()) return fail(io_, fits.error());
    if (!check_dependencies()) return refuse_diagnostics();
    packs::Lock lock = workspace_.lock;
    for (const Candidate& candidate : candidates_) {
      if (const Result<void> chosen = enter(candidate, lock); !chosen.ok()) return fail(io_, chosen.error());
    }
    return try_out(lock);
  }

 private:
  Exit refuse(const Error& error) {
    if (!diagnostics_.empty()) return refuse_diagnostics();
    return fail(io_, error);
  }

  Exit refuse_diagnostics() {
    print_diagnostics(diagnostics_, io_, Where::kErr);
    return Exit::kUsage;
  }

  Result<void> read_flags() {
    for (const std::string& need : comma_list(arguments_.value("grant"))) {
      if (!packs::is_grantable(need)) return bad_request("--grant takes text, headers and spend (got '" + need + "')");
      granted_.push_back(need);
    }
    CCR_TRY(models, pairs(arguments_.values("model"), "model"));
    models_ = std::move(models);
    CCR_TRY(settings, pairs(arguments_.values("set"), "set"));
    settings_ = std::move(settings);
    if (!arguments_.has("key")) return {};
    CCR_TRY(pem, io_.files.read(absolute_path(io_, arguments_.value("key"))));
    CCR_TRY(key, packs::key_text_of_pem(pem));
    wanted_key_ = std::move(key);
    return {};
  }

  // Fetches a pack and everything it depends on that is not there yet.
  Result<void> take(const std::string& source) {
    if (candidates_.size() >= limits::kPackDepends) return bad_request("too many packs depend on each other");
    if (io_.err_is_terminal) io_.err << paint_.dim("fetching " + source) << "\n";
    Result<Fetched> fetched = fetch(source, index_, io_);
    if (!fetched.ok()) return fetched.error();
    std::optional<Candidate> candidate = make_candidate(*std::move(fetched), source, diagnostics_);
    if (!candidate) return bad_request("not a sound pack");
    const std::string& name = candidate->manifest.name;
    if (find(name) != nullptr) return {};
    const packs::LockedPack* locked = workspace_.lock.find(name);
    if (again_ && locked != nullptr && locked->identity == candidate->seal.identity && locked->key == candidate->seal.key) return {};
    candidates_.push_back(*std::move(candidate));
    const auto depends = candidates_.back().manifest.depends;
    for (const auto& [other, depend] : depends) CCR_CHECK(take_dependency(name, other, depend));
    return {};
  }

  Result<void> take_dependency(const std::string& of, const std::string& name, const packs::Manifest::Depend& depend) {
    if (find(name) != nullptr) return {};
    if (const packs::LockedPack* locked = workspace_.lock.find(name)) {
      const std::optional<packs::Version> version = packs::Version::parse(locked->version);
      if (version && depend.range.contains(*version)) return {};
    }
    if (index_.location.empty()) return {};  // check_dependencies() says what is missing
    Result<void> taken = take(name + "@" + depend.range.text());
    if (taken.ok()) return taken;
    return bad_request(of + " depends on " + name + " " + depend.range.text() + ": " + taken.error().message);
  }

  const Candidate* find(const std::string& name) const {
    const auto found = std::find_if(candidates_.begin(), candidates_.end(),
                                    [&name](const Candidate& one) { return one.manifest.name == name; });
    return found == candidates_.end() ? nullptr : &*found;
  }

  // A mapping that no pack asks for is a typing error.
  Result<void> check_aliases() {
    std::vector<std::string> known;
    for (const Candidate& candidate : candidates_) {
      for (const auto& [alias, model] : candidate.manifest.models) known.push_back(alias);
    }
    for (const auto& [alias, target] : models_) {
      if (std::find(known.begin(), known.end(), alias) != known.end()) continue;
      const std::string near = text::did_you_mean(alias, known);
      return bad_request("--model " + alias + ": no pack here uses that alias" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
    return {};
  }

  // A pack that was locked with a key stays with it.
  Result<void> check_keys() {
    for (const Candidate& candidate : candidates_) {
      const std::string& key = candidate.seal.key;
      const std::string it_is = key.empty() ? "is not signed" : "is signed by " + packs::short_key(key);
      const packs::LockedPack* locked = workspace_.lock.find(candidate.manifest.name);
      if (locked != nullptr && !locked->key.empty() && locked->key != key) {
        return bad_request("pack " + candidate.manifest.name + " is locked to the key " + packs::short_key(locked->key) +
                           ", but this copy " + it_is + "; if its author really changed that, `ccrules pack remove " +
                           candidate.manifest.name + "` first");
      }
      if (!wanted_key_.empty() && key != wanted_key_) {
        return bad_request("pack " + candidate.manifest.name + " " + it_is + ", not by the key " + packs::short_key(wanted_key_) +
                           " of --key");
      }
    }
    return {};
  }

  bool check_dependencies() {
    for (const packs::LockedPack& locked : workspace_.lock.packs) {
      if (find(locked.name) != nullptr) continue;
      std::vector<config::Diagnostic> ignored;  // what is installed and broken is said when the rules are loaded
      if (std::optional<Candidate> other = installed(workspace_, locked, io_, ignored)) others_.push_back(*std::move(other));
    }
    std::vector<const packs::Manifest*> manifests;
    for (const Candidate& candidate : candidates_) manifests.push_back(&candidate.manifest);
    for (const Candidate& other : others_) manifests.push_back(&other.manifest);
    ordered_ = packs::in_dependency_order(manifests, diagnostics_);
    return diagnostics_.empty();
  }

  Result<void> enter(const Candidate& candidate, packs::Lock& lock) {
    const packs::Manifest& manifest = candidate.manifest;
    packs::LockedPack pack;
    if (const packs::LockedPack* locked = lock.find(manifest.name)) pack = *locked;
    pack.name = manifest.name;
    pack.version = manifest.version.text();
    pack.path = home_of(candidate);
    pack.source = candidate.source;
    pack.identity = candidate.seal.identity;
    pack.key = candidate.seal.key;
    // What was granted before stays granted; what is no longer needed does not.
    std::vector<std::string> granted;
    for (const std::string& need : manifest.needs) {
      const bool before = std::find(pack.granted.begin(), pack.granted.end(), need) != pack.granted.end();
      const bool now = std::find(granted_.begin(), granted_.end(), need) != granted_.end();
      if (packs::is_grantable(need) && (now || (before && !arguments_.has("grant")) || ask_grant(manifest, need))) {
        granted.push_back(need);
      }
    }
    pack.granted = std::move(granted);
    for (const auto& [alias, target] : models_) {
      if (manifest.models.contains(alias)) pack.models[alias] = target;
    }
    for (const auto& [name, value] : settings_) {
      if (manifest.settings.contains(name) || candidates_.size() == 1) pack.settings[name] = value;
    }
    std::erase_if(pack.models, [&manifest](const auto& model) { return !manifest.models.contains(model.first); });
    CCR_CHECK(map_aliases(workspace_, manifest, asks(), io_, pack.models));
    CCR_TRY(settings, packs::settings_lua(manifest, pack.settings));
    (void)settings;  // only whether they fit
    if (packs::LockedPack* locked = lock.find(manifest.name)) {
      *locked = std::move(pack);
    } else {
      lock.packs.push_back(std::move(pack));
    }
    return {};
  }

  [[nodiscard]] bool asks() const { return io_.err_is_terminal && !arguments_.has("yes") && !arguments_.json(); }

  std::string answer(const std::string& question) {
    io_.err << question << " " << std::flush;
    std::string line;
    std::getline(io_.in, line);
    return std::string(text::trim(line));
  }

  bool ask_grant(const packs::Manifest& manifest, const std::string& need) {
    if (!asks() || arguments_.has("grant")) return false;
    const char* what = need == "text"      ? "read the text of prompts"
                       : need == "headers" ? "read request headers"
                                           : "read what was spent";
    const std::string said = answer(manifest.name + " wants to " + what + ". Grant that? [y/N]");
    return said == "y" || said == "yes";
  }

  Exit try_out(const packs::Lock& lock) {
    std::vector<config::Diagnostic> found;
    const std::vector<rules::RuleLine> rules = rules_with(*workspace_.config, lock, workspace_.lock_path, candidates_, io_, found);
    if (has_error(found)) {
      print_diagnostics(found, io_, Where::kErr);
      for (const Candidate& candidate : candidates_) {
        const packs::LockedPack* pack = lock.find(candidate.manifest.name);
        for (const std::string& need : candidate.manifest.needs) {
          if (std::find(pack->granted.begin(), pack->granted.end(), need) != pack->granted.end()) continue;
          io_.err << paint_.cyan("note:") << " " << candidate.manifest.name << " needs " << need << ", which was not granted"
                  << (packs::is_grantable(need) ? " (--grant " + need + ")" : std::string(": this version cannot")) << "\n";
        }
      }
      return Exit::kUsage;
    }
    std::vector<const Candidate*> all;
    for (const Candidate& candidate : candidates_) all.push_back(&candidate);
    for (const Candidate& other : others_) all.push_back(&other);
    bool failed = false;
    for (const Candidate& candidate : candidates_) {
      reports_.push_back(test_alone(candidate, all));
      failed = failed || !reports_.back().problems.empty() || reports_.back().failed() > 0;
    }
    if (!arguments_.json()) show(lock, rules);
    if (failed) {
      for (const rules::TestReport& report : reports_) {
        if (!report.problems.empty()) print_diagnostics(report.problems, io_, Where::kErr);
      }
      (void)usage_error(io_, "the pack's own tests fail, so nothing was installed");  // the code below says which kind
      return Exit::kFailed;
    }
    if (!arguments_.has("yes") && !arguments_.has("dry-run")) {
      if (!asks()) return usage_error(io_, "nothing was installed: say --yes (and --grant for what it needs) when nobody can be asked");
      const std::string said = answer("Install? [y/N]");
      if (said != "y" && said != "yes") return usage_error(io_, "nothing was installed");
    }
    return write(lock, rules);
  }

  static std::vector<rules::RuleLine> of(const std::string& pack, const std::vector<rules::RuleLine>& rules) {
    std::vector<rules::RuleLine> out;
    for (const rules::RuleLine& rule : rules) {
      if (rule.pack == pack) out.push_back(rule);
    }
    return out;
  }

  /// What changes against the installed version; nothing when there is none.
  std::optional<std::vector<rules::RuleChange>> changes(const Candidate& candidate) const {
    const packs::LockedPack* locked = workspace_.lock.find(candidate.manifest.name);
    if (locked == nullptr) return std::nullopt;
    std::vector<config::Diagnostic> ignored;
    const std::optional<Candidate> before = installed(workspace_, *locked, io_, ignored);
    if (!before) return std::nullopt;
    std::vector<const Candidate*> all;
    for (const Candidate& one : candidates_) all.push_back(&one);
    for (const Candidate& one : others_) all.push_back(&one);
    return rules::compare_rules(rules_alone(*before, all, ignored), rules_alone(candidate, all, ignored));
  }

  std::string needs_text(const packs::LockedPack& pack, const packs::Manifest& manifest) const {
    std::string out;
    for (const std::string& need : manifest.needs) {
      const bool granted = std::find(pack.granted.begin(), pack.granted.end(), need) != pack.granted.end();
      out += (out.empty() ? "" : ", ") + need + (granted ? " (granted)" : " (not granted)");
    }
    return out.empty() ? "nothing beyond the plain facts" : out;
  }

  void show(const packs::Lock& lock, const std::vector<rules::RuleLine>& rules) {
    const Paint paint = paint_for_out(io_);
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const packs::Manifest& manifest = candidates_[i].manifest;
      const packs::LockedPack& pack = *lock.find(manifest.name);
      io_.out << paint.bold(manifest.name + " " + manifest.version.text()) << " (" << packs::kind_name(manifest.kind) << ", "
              << manifest.license << ") — " << manifest.summary << "\n";
      Table table({Table::Align::kLeft, Table::Align::kLeft});
      table.row({"from", pack.source});
      table.row({"signed", pack.key.empty() ? paint.yellow("no") : "by " + packs::short_key(pack.key)});
      table.row({"needs", needs_text(pack, manifest)});
      for (const auto& [alias, target] : pack.models) table.row({"model", alias + " = " + target});
      for (const auto& [name, value] : pack.settings) table.row({"setting", name + " = " + value});
      table.row({"tests", outcome_of(reports_[i])});
      table.print(io_.out, "  ");
      print_failures(io_.out, paint, reports_[i], "    ");
      if (const auto changed = changes(candidates_[i])) {
        io_.out << "  rules that change\n";
        print_changes(io_.out, paint, *changed, "    ");
        if (changed->empty()) io_.out << "    none\n";
      } else {
        io_.out << "  rules it adds\n";
        print_rules(io_.out, paint, of(manifest.name, rules), "    ");
      }
      const std::vector<rules::Shadow> shadows = rules::shadows_of(manifest.name, rules);
      if (!shadows.empty()) io_.out << "  stands above\n";
      print_shadows(io_.out, paint, shadows, "    ");
      io_.out << "\n";
    }
  }

  Exit write(const packs::Lock& lock, const std::vector<rules::RuleLine>& rules) {
    const bool dry_run = arguments_.has("dry-run");
    if (!dry_run) {
      std::vector<Placement> placements;
      for (const Candidate& candidate : candidates_) placements.push_back({workspace_.directory + home_of(candidate), &candidate.folder});
      const Result<void> done = commit(workspace_.lock_path, workspace_.lock_text, packs::to_json(lock), placements);
      if (!done.ok()) return fail(io_, done.error());
      forget_old(lock);
    }
    if (arguments_.json()) {
      write_json(lock, rules, !dry_run);
    } else if (dry_run) {
      io_.out << "nothing was written (--dry-run)\n";
    } else {
      for (const Candidate& candidate : candidates_) {
        io_.out << paint_for_out(io_).green("installed") << " " << candidate.manifest.name << " " << candidate.manifest.version.text()
                << "\n";
      }
    }
    return Exit::kOk;
  }

  // Folders that the old lock named and the new one does not.
  void forget_old(const packs::Lock& lock) {
    for (const packs::LockedPack& old : workspace_.lock.packs) {
      const packs::LockedPack* now = lock.find(old.name);
      if (now != nullptr && now->path == old.path) continue;
      if (!old.path.starts_with("packs/")) continue;  // not of our making
      std::error_code ignored;
      std::filesystem::remove_all(workspace_.directory + old.path, ignored);
    }
  }

  void write_json(const packs::Lock& lock, const std::vector<rules::RuleLine>& rules, bool changed) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.install/1").member("changed", changed).member("lock", workspace_.lock_path);
    writer.key("packs").begin_array();
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      const packs::LockedPack& pack = *lock.find(candidates_[i].manifest.name);
      writer.begin_object().member("name", pack.name).member("version", pack.version).member("path", pack.path);
      writer.member("kind", packs::kind_name(candidates_[i].manifest.kind)).member("source", pack.source);
      writer.member("identity", pack.identity).member("key", pack.key).key("needs");
      write_texts(writer, candidates_[i].manifest.needs);
      writer.key("granted");
      write_texts(writer, pack.granted);
      writer.key("models").begin_object();
      for (const auto& [alias, target] : pack.models) writer.member(alias, target);
      writer.end_object().key("rules");
      write_rules(writer, of(pack.name, rules));
      writer.key("shadows");
      write_shadows(writer, rules::shadows_of(pack.name, rules));
      writer.key("tests").begin_object();
      writer.member("passed", static_cast<std::int64_t>(reports_[i].cases.size() - reports_[i].failed()));
      writer.member("failed", static_cast<std::int64_t>(reports_[i].failed())).end_object().end_object();
    }
    writer.end_array().end_object();
    io_.out << text << "\n";
  }

  Exit unchanged() {
    if (arguments_.json()) {
      std::string text;
      json::Writer(text).begin_object().member("schema", "ccrules.pack.install/1").member("changed", false)
          .member("lock", workspace_.lock_path).key("packs").begin_array().end_array().end_object();
      io_.out << text << "\n";
    } else {
      io_.out << "everything is up to date\n";
    }
    return Exit::kOk;
  }

  const Arguments& arguments_;
  Io& io_;
  Paint paint_;
  Workspace workspace_;
  IndexPlace index_;
  bool again_ = false;
  std::vector<std::string> granted_;
  std::map<std::string, std::string> models_;
  std::map<std::string, std::string> settings_;
  std::string wanted_key_;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> others_;  ///< installed packs that stay
  std::vector<const packs::Manifest*> ordered_;
  std::vector<rules::TestReport> reports_;
  std::vector<config::Diagnostic> diagnostics_;
};

/// What `pack diff` compares: a folder, archive or other source, or an installed pack by name.
std::optional<Candidate> side_of(const std::string& what, const Workspace* workspace, const Arguments& arguments, Io& io) {
  std::vector<config::Diagnostic> found;
  std::optional<Candidate> candidate;
  const packs::LockedPack* locked = workspace != nullptr ? workspace->lock.find(what) : nullptr;
  if (locked != nullptr && io.files.look(absolute_path(io, what)).kind == Files::Kind::kNone) {
    candidate = installed(*workspace, *locked, io, found);
  } else {
    Result<Fetched> fetched = fetch(what, index_place(arguments, io), io);
    if (!fetched.ok()) {
      (void)fail(io, fetched.error());  // the caller ends with the same code
      return std::nullopt;
    }
    candidate = make_draft(*std::move(fetched), what, found);
  }
  if (!found.empty()) print_diagnostics(std::move(found), io, Where::kErr);
  return candidate;
}

}  // namespace

std::optional<Workspace> open_workspace(const Arguments& arguments, Io& io) {
  config::Options options = config_options(arguments, io);
  options.dry_run = true;
  Workspace workspace;
  workspace.config = load_config(options, io);
  if (workspace.config == nullptr) return std::nullopt;
  if (workspace.config->file.empty()) {
    (void)usage_error(io, "there is no configuration to install packs for; write one first: echo '{}' > ccrules.json");
    return std::nullopt;
  }
  workspace.lock_path = packs::lock_path(workspace.config->file);
  workspace.directory = workspace.lock_path.substr(0, workspace.lock_path.rfind('/') + 1);
  if (io.files.exists(workspace.lock_path)) {
    Result<std::string> text = io.files.read(workspace.lock_path);
    if (!text.ok()) {
      (void)fail(io, text.error());  // the caller ends with the same code
      return std::nullopt;
    }
    workspace.lock_text = *std::move(text);
  }
  std::vector<config::Diagnostic> found;
  std::optional<packs::Lock> lock = packs::read_lock(workspace.lock_path, workspace.lock_text, found);
  if (!lock) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return std::nullopt;
  }
  workspace.lock = *std::move(lock);
  return workspace;
}

IndexPlace index_place(const Arguments& arguments, const Io& io) {
  const auto found = io.environment.find("CCRULES_PACK_INDEX");
  std::string location = arguments.value("index");
  if (location.empty() && found != io.environment.end()) location = found->second;
  // A path goes into rules.lock, to be found from anywhere.
  if (!location.empty() && location.find("://") == std::string::npos) location = absolute_path(io, location);
  return {std::move(location)};
}

Result<void> map_aliases(const Workspace& workspace, const packs::Manifest& manifest, bool ask, Io& io,
                         std::map<std::string, std::string>& models) {
  std::optional<std::vector<std::string>> own;
  for (const auto& [alias, model] : manifest.models) {
    if (models.contains(alias) || suggestion_is_served(workspace, model)) continue;
    if (!own) own = own_aliases(workspace, io);
    if (std::find(own->begin(), own->end(), alias) != own->end()) continue;
    std::string target;
    if (ask) {
      io.err << manifest.name << " uses '" << alias << "' (" << plain_text(model.about) << "). Which provider,model is that? "
             << std::flush;
      std::getline(io.in, target);
      target = text::trim(target);
    }
    if (target.empty()) {
      return bad_request(manifest.name + " uses the alias '" + alias + "' (" + plain_text(model.about) +
                         "), which means nothing here: say --model " + alias + "=PROVIDER,MODEL");
    }
    models[alias] = target;
  }
  return {};
}

std::vector<std::string> comma_list(const std::string& text) {
  std::vector<std::string> out;
  for (const std::string_view part : text::split(text, ',')) {
    if (!text::trim(part).empty() && text::trim(part) != "none") out.emplace_back(text::trim(part));
  }
  return out;
}

Exit fail(Io& io, const Error& error) {
  (void)usage_error(io, error.message);  // the code below is more exact
  return error.code == ErrorCode::kConnectFailed || error.code == ErrorCode::kUpstreamTimeout ? Exit::kUnreachable : Exit::kUsage;
}

std::optional<Candidate> installed(const Workspace& workspace, const packs::LockedPack& locked, const Io& io,
                                   std::vector<config::Diagnostic>& diagnostics) {
  const std::string directory = locked.path.starts_with('/') ? locked.path : workspace.directory + locked.path;
  Result<packs::Folder> folder = packs::read_folder(io.files, directory);
  if (!folder.ok()) {
    config::Diagnostic diagnostic;
    diagnostic.where = locked.where;
    diagnostic.message = "pack " + locked.name + " cannot be read: " + folder.error().message;
    diagnostics.push_back(std::move(diagnostic));
    return std::nullopt;
  }
  return make_draft({*std::move(folder), locked.source, std::nullopt}, directory, diagnostics);
}

Exit pack_install(const Arguments& arguments, Io& io) {
  std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  return Installation(arguments, io, *std::move(workspace)).run({arguments.words().begin() + 1, arguments.words().end()}, false);
}

Exit pack_update(const Arguments& arguments, Io& io) {
  std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  std::vector<std::string> names(arguments.words().begin() + 1, arguments.words().end());
  if (names.empty()) {
    for (const packs::LockedPack& pack : workspace->lock.packs) names.push_back(pack.name);
  }
  std::vector<std::string> sources;
  for (const std::string& name : names) {
    const packs::LockedPack* locked = workspace->lock.find(name);
    if (locked == nullptr) return usage_error(io, "pack " + name + " is not installed");
    sources.push_back(locked->source);
  }
  return Installation(arguments, io, *std::move(workspace)).run(sources, true);
}

Exit pack_remove(const Arguments& arguments, Io& io) {
  const std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  packs::Lock lock = workspace->lock;
  const std::vector<std::string> names(arguments.words().begin() + 1, arguments.words().end());
  const auto going = [&names](const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  for (const std::string& name : names) {
    if (lock.find(name) != nullptr) continue;
    std::vector<std::string> known;
    for (const packs::LockedPack& pack : lock.packs) known.push_back(pack.name);
    const std::string near = text::did_you_mean(name, known);
    return usage_error(io, "pack " + name + " is not installed" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  for (const packs::LockedPack& pack : lock.packs) {
    if (going(pack.name)) continue;
    std::vector<config::Diagnostic> ignored;
    const std::optional<Candidate> other = installed(*workspace, pack, io, ignored);
    if (!other) continue;
    for (const auto& [needed, depend] : other->manifest.depends) {
      if (going(needed)) return usage_error(io, pack.name + " depends on " + needed + "; remove it as well, or keep both");
    }
  }
  std::erase_if(lock.packs, [&going](const packs::LockedPack& pack) { return going(pack.name); });
  const Result<void> done = commit(workspace->lock_path, workspace->lock_text, packs::to_json(lock), {});
  if (!done.ok()) return fail(io, done.error());
  for (const packs::LockedPack& pack : workspace->lock.packs) {
    if (!going(pack.name) || !pack.path.starts_with("packs/")) continue;
    std::error_code ignored;
    std::filesystem::remove_all(workspace->directory + pack.path, ignored);
  }
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.remove/1").key("removed");
    write_texts(writer, names);
    writer.end_object();
    io.out << text << "\n";
  } else {
    io.out << "removed " << joined(names) << "\n";
  }
  return Exit::kOk;
}

Exit pack_list(const Arguments& arguments, Io& io) {
  const std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  std::vector<config::Diagnostic> found;
  std::vector<rules::RuleSource> sources = rules::rule_sources(*workspace->config, io.files, found);
  const std::unique_ptr<rules::RuleSet> set = rules::load_rules(*workspace->config, io.files, std::move(sources), found);
  const std::vector<rules::RuleLine> rules = set != nullptr ? rules::list_rules(*set) : std::vector<rules::RuleLine>();
  const auto count = [&rules](const std::string& pack) {
    const auto found_rules =
        std::count_if(rules.begin(), rules.end(), [&pack](const rules::RuleLine& rule) { return rule.pack == pack; });
    return static_cast<std::size_t>(found_rules);
  };
  if (!found.empty()) print_diagnostics(found, io, Where::kErr);
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.list/1").member("lock", workspace->lock_path).key("packs").begin_array();
    for (const packs::LockedPack& pack : workspace->lock.packs) {
      writer.begin_object().member("name", pack.name).member("version", pack.version).member("path", pack.path);
      writer.member("source", pack.source).member("identity", pack.identity).member("key", pack.key).key("granted");
      write_texts(writer, pack.granted);
      writer.member("rules", static_cast<std::int64_t>(count(pack.name))).end_object();
    }
    writer.end_array().key("projects").begin_array();
    for (const packs::TrustedPack& pack : workspace->lock.projects) {
      writer.begin_object().member("project", pack.project).member("path", pack.path).member("identity", pack.identity).end_object();
    }
    writer.end_array().end_object();
    io.out << text << "\n";
  } else {
    const Paint paint = paint_for_out(io);
    using Align = Table::Align;
    Table table({Align::kLeft, Align::kLeft, Align::kRight, Align::kLeft, Align::kLeft, Align::kLeft});
    for (const packs::LockedPack& pack : workspace->lock.packs) {
      table.row({paint.bold(pack.name), pack.version, counted(count(pack.name), "rule"),
                 pack.key.empty() ? "not signed" : packs::short_key(pack.key),
                 pack.granted.empty() ? "nothing granted" : "granted " + joined(pack.granted), paint.dim(pack.source)});
    }
    table.print(io.out);
    for (const packs::TrustedPack& pack : workspace->lock.projects) {
      io.out << "project " << pack.project << paint.dim("  " + pack.path) << "\n";
    }
    if (workspace->lock.packs.empty() && workspace->lock.projects.empty()) io.out << "no packs are installed\n";
  }
  return has_error(found) ? Exit::kUsage : Exit::kOk;
}

Exit pack_diff(const Arguments& arguments, Io& io) {
  const std::vector<std::string> words(arguments.words().begin() + 1, arguments.words().end());
  std::optional<Workspace> workspace;
  const auto is_place = [&io](const std::string& what) { return io.files.look(absolute_path(io, what)).kind != Files::Kind::kNone; };
  const bool both_given = words.size() == 2 && is_place(words[0]) && is_place(words[1]);
  if (!both_given) {
    workspace = open_workspace(arguments, io);
    if (!workspace) return Exit::kUsage;
  }
  const Workspace* place = workspace ? &*workspace : nullptr;
  std::optional<Candidate> before;
  std::optional<Candidate> after;
  if (words.size() == 2) {
    before = side_of(words[0], place, arguments, io);
    if (before) after = side_of(words[1], place, arguments, io);
  } else if (const packs::LockedPack* locked = place->lock.find(words[0])) {
    before = side_of(words[0], place, arguments, io);
    if (before) after = side_of(locked->source, place, arguments, io);
  } else {
    after = side_of(words[0], place, arguments, io);
    if (after && place->lock.find(after->manifest.name) == nullptr) {
      return usage_error(io, "pack " + after->manifest.name + " is not installed; name two packs to compare them");
    }
    if (after) before = side_of(after->manifest.name, place, arguments, io);
  }
  if (!before || !after) return Exit::kUsage;
  std::vector<config::Diagnostic> found;
  Candidate old = *before;
  Candidate now = *after;
  old.manifest.depends.clear();  // only what the two say themselves is compared
  now.manifest.depends.clear();
  const std::vector<rules::RuleLine> old_rules = rules_alone(old, {}, found);
  const std::vector<rules::RuleLine> new_rules = rules_alone(now, {}, found);
  if (has_error(found)) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return Exit::kUsage;
  }
  const std::vector<rules::RuleChange> changes = rules::compare_rules(old_rules, new_rules);
  const bool needs_changed = before->manifest.needs != after->manifest.needs;
  const bool differs = !changes.empty() || needs_changed;
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.diff/1").member("before", before->manifest.version.text());
    writer.member("after", after->manifest.version.text()).member("same_files", before->seal.identity == after->seal.identity);
    writer.key("needs_before");
    write_texts(writer, before->manifest.needs);
    writer.key("needs_after");
    write_texts(writer, after->manifest.needs);
    writer.key("changes");
    write_changes(writer, changes);
    writer.end_object();
    io.out << text << "\n";
  } else {
    const Paint paint = paint_for_out(io);
    io.out << paint.bold(before->manifest.name + " " + before->manifest.version.text()) << " -> "
           << paint.bold(after->manifest.name + " " + after->manifest.version.text()) << "\n";
    if (needs_changed) {
      io.out << "  needs " << (before->manifest.needs.empty() ? "nothing" : joined(before->manifest.needs)) << " -> "
             << (after->manifest.needs.empty() ? "nothing" : joined(after->manifest.needs)) << "\n";
    }
    print_changes(io.out, paint, changes, "  ");
    if (!differs) {
      io.out << (before->seal.identity == after->seal.identity ? "  the same files\n" : "  the same rules; other files differ\n");
    }
  }
  return Exit::kOk;
}

Exit pack_search(const Arguments& arguments, Io& io) {
  const Result<packs::Index> index = fetch_index(index_place(arguments, io), io);
  if (!index.ok()) return fail(io, index.error());
  const std::vector<std::string> words(arguments.words().begin() + 1, arguments.words().end());
  std::vector<const packs::IndexRow*> rows;
  for (const packs::IndexRow& row : index->rows) {
    if (!rows.empty() && rows.back()->name == row.name) continue;  // the newest is enough
    const std::string all = row.name + " " + row.summary + " " + row.kind;
    if (std::all_of(words.begin(), words.end(), [&all](const std::string& word) { return text::contains_ignore_case(all, word); })) {
      rows.push_back(&row);
    }
  }
  if (arguments.json()) {
    std::string text;
    json::Writer writer(text);
    writer.begin_object().member("schema", "ccrules.pack.search/1").key("packs").begin_array();
    for (const packs::IndexRow* row : rows) {
      writer.begin_object().member("name", row->name).member("version", row->version.text()).member("kind", row->kind);
      writer.member("summary", row->summary).member("source", row->source).member("key", row->key).key("needs");
      write_texts(writer, row->needs);
      writer.end_object();
    }
    writer.end_array().end_object();
    io.out << text << "\n";
  } else {
    const Paint paint = paint_for_out(io);
    Table table({Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft, Table::Align::kLeft});
    for (const packs::IndexRow* row : rows) {
      table.row({paint.bold(row->name), row->version.text(), plain_text(row->kind), plain_text(row->summary)});
    }
    table.print(io.out);
    if (rows.empty()) io.out << "no pack in the index fits\n";
  }
  return Exit::kOk;
}

}  // namespace ccrules::cli
