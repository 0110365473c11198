#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/load.h"
#include "cli/pack/report.h"
#include "cli/pack/verbs.h"
#include "cli/pack/workspace.h"
#include "rules/ruleset.h"

namespace ccrules::cli {

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

}  // namespace ccrules::cli
