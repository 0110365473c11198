#include <algorithm>

#include "cli/commands.h"
#include "cli/load.h"
#include "cli/pack/choices.h"
#include "cli/pack/report.h"
#include "cli/pack/store.h"
#include "core/text.h"

namespace ccrules::cli {
namespace {

/// Where a project keeps its rules, and the project they are for.
struct Project {
  std::string pack;    ///< folder with pack.json
  std::string folder;  ///< the project itself
};

Project project_at(const std::string& path, const Io& io) {
  constexpr const char* kFolder = "/.ccrules";
  if (path.ends_with(kFolder)) return {path, path.substr(0, path.size() - std::string(kFolder).size())};
  if (io.files.exists(path + kFolder + "/pack.json")) return {path + kFolder, path};
  return {path, path};
}

Exit write_lock(const Arguments& arguments, Io& io, const Workspace& workspace, const packs::Lock& lock, const char* verb,
                const Project& project) {
  const Result<void> done = commit(workspace.lock_path, workspace.lock_text, packs::to_json(lock), {});
  if (!done.ok()) return fail(io, done.error());
  if (arguments.json()) {
    std::string text;
    json::Writer(text).begin_object().member("schema", "ccrules.trust/1").member("project", project.folder)
        .member("path", project.pack).member("trusted", std::string_view(verb) == "trusted").end_object();
    io.out << text << "\n";
  } else {
    io.out << verb << " the rules of " << project.folder << "\n";
  }
  return Exit::kOk;
}

std::string unknown_alias(const std::string& alias, const packs::Manifest& manifest) {
  std::vector<std::string> known;
  for (const auto& [name, model] : manifest.models) known.push_back(name);
  const std::string near = text::did_you_mean(alias, known);
  return "--model " + alias + ": " + manifest.name + " has no such alias" + (near.empty() ? "" : "; did you mean '" + near + "'?");
}

Exit run_trust(const Arguments& arguments, Io& io) {
  const std::optional<Workspace> workspace = open_workspace(arguments, io);
  if (!workspace) return Exit::kUsage;
  const Project project = project_at(absolute_path(io, arguments.words().empty() ? "." : arguments.words().front()), io);
  packs::Lock lock = workspace->lock;
  const auto same = [&project](const packs::TrustedPack& one) { return one.path == project.pack; };
  if (arguments.has("remove")) {
    if (std::erase_if(lock.projects, same) == 0) return usage_error(io, "the rules of " + project.folder + " are not trusted");
    return write_lock(arguments, io, *workspace, lock, "no longer trusted:", project);
  }
  Result<packs::Folder> folder = packs::read_folder(io.files, project.pack);
  if (!folder.ok()) return fail(io, folder.error());
  if (!io.files.exists(project.pack + "/pack.json")) {
    return usage_error(io, project.folder + " brings no rules: there is no .ccrules/pack.json in it");
  }
  std::vector<config::Diagnostic> found;
  const std::optional<Candidate> pack = make_draft({*std::move(folder), project.pack, std::nullopt}, project.pack, found);
  if (!pack) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return Exit::kUsage;
  }
  packs::TrustedPack trusted;
  trusted.path = project.pack;
  trusted.project = project.folder;
  trusted.identity = pack->seal.identity;
  for (const std::string& need : comma_list(arguments.value("grant"))) {
    if (!packs::is_grantable(need)) return usage_error(io, "--grant takes text, headers and spend (got '" + need + "')");
    const auto& needs = pack->manifest.needs;
    if (std::find(needs.begin(), needs.end(), need) != needs.end()) trusted.granted.push_back(need);
  }
  std::sort(trusted.granted.begin(), trusted.granted.end());
  for (const std::string& model : arguments.values("model")) {
    const std::size_t equals = model.find('=');
    if (equals == std::string::npos) return usage_error(io, "--model wants ALIAS=TARGET (got '" + model + "')");
    const std::string alias = model.substr(0, equals);
    if (!pack->manifest.models.contains(alias)) return usage_error(io, unknown_alias(alias, pack->manifest));
    trusted.models[alias] = model.substr(equals + 1);
  }
  const auto old = std::find_if(lock.projects.begin(), lock.projects.end(), same);
  if (old != lock.projects.end() && !arguments.has("model")) trusted.models = old->models;
  const bool ask = !arguments.has("yes") && !arguments.json() && io.err_is_terminal;
  const Result<void> mapped = map_aliases(*workspace, pack->manifest, ask, io, trusted.models);
  if (!mapped.ok()) return fail(io, mapped.error());
  std::erase_if(lock.projects, same);
  lock.projects.push_back(trusted);

  const std::vector<rules::RuleLine> all = rules_with(*workspace->config, lock, workspace->lock_path, {}, io, found);
  if (has_error(found)) {
    print_diagnostics(std::move(found), io, Where::kErr);
    return Exit::kUsage;
  }
  std::vector<rules::RuleLine> own;
  for (const rules::RuleLine& rule : all) {
    if (rule.pack == pack->manifest.name && rule.layer == "project") own.push_back(rule);
  }
  if (!arguments.json()) {
    const Paint paint = paint_for_out(io);
    io.out << paint.bold(pack->manifest.name) << " — " << plain_text(pack->manifest.summary) << "\n  its rules, for requests from "
           << project.folder << " alone\n";
    print_rules(io.out, paint, own, "    ");
  }
  if (!arguments.has("yes")) {
    if (!io.err_is_terminal || arguments.json()) return usage_error(io, "nothing was trusted: say --yes when nobody can be asked");
    io.err << "Trust them as they are now? [y/N] " << std::flush;
    std::string line;
    std::getline(io.in, line);
    if (line != "y" && line != "yes") return usage_error(io, "nothing was trusted");
  }
  return write_lock(arguments, io, *workspace, lock, "trusted", project);
}

}  // namespace

Command trust_command() {
  Command command;
  command.name = "trust";
  command.summary = "Let the rules of a project take part";
  command.arguments = "[DIR]";
  command.about =
      "A project may bring rules: a pack in its folder .ccrules. They apply to requests from that project alone, below your own\n"
      "rules, and only as they were when you trusted them: a change of any file switches them off until you look again.";
  command.flags = {{"yes", "", "do not ask", {}},
                   {"grant", "LIST", "what the rules may read: text, headers, spend", {}},
                   {"model", "ALIAS=TARGET", "what an alias of the pack stands for; may be given again", {}},
                   {"remove", "", "trust them no longer", {}}};
  command.examples = {{"ccrules trust /srv/web", "the rules in /srv/web/.ccrules"}};
  command.most = 1;
  command.run = &run_trust;
  return command;
}

}  // namespace ccrules::cli
