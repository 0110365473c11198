#include "cli/pack/offer.h"

#include <algorithm>
#include <optional>
#include <string>

#include "cli/load.h"
#include "cli/pack/report.h"

namespace ccrules::cli {
namespace {

std::string needs_text(const packs::LockedPack& pack, const packs::Manifest& manifest) {
  std::string out;
  for (const std::string& need : manifest.needs) {
    const bool granted = std::find(pack.granted.begin(), pack.granted.end(), need) != pack.granted.end();
    out += (out.empty() ? "" : ", ") + need + (granted ? " (granted)" : " (not granted)");
  }
  return out.empty() ? "nothing beyond the plain facts" : out;
}

void note_missing_grants(const Candidate& candidate, const packs::LockedPack& pack, Io& io) {
  const Paint paint = paint_for_err(io);
  for (const std::string& need : candidate.manifest.needs) {
    if (std::find(pack.granted.begin(), pack.granted.end(), need) != pack.granted.end()) continue;
    io.err << paint.cyan("note:") << " " << candidate.manifest.name << " needs " << need << ", which was not granted"
           << (packs::is_grantable(need) ? " (--grant " + need + ")" : std::string(": this version cannot")) << "\n";
  }
}

}  // namespace

Exit Offer::try_out(bool quiet, Io& io) {
  if (!load(io)) return Exit::kUsage;
  bool failed = false;
  for (const Candidate& candidate : gathering_.candidates()) {
    reports_.push_back(test_alone(candidate, gathering_.all()));
    failed = failed || !reports_.back().problems.empty() || reports_.back().failed() > 0;
  }
  if (!quiet) show(io);
  if (!failed) return Exit::kOk;
  for (const rules::TestReport& report : reports_) {
    if (!report.problems.empty()) print_diagnostics(report.problems, io, Where::kErr);
  }
  (void)usage_error(io, "the pack's own tests fail, so nothing was installed");  // the code below says which kind
  return Exit::kFailed;
}

bool Offer::load(Io& io) {
  std::vector<config::Diagnostic> found;
  rules_ = rules_with(*workspace_.config, lock_, workspace_.lock_path, gathering_.candidates(), io, found);
  if (!has_error(found)) return true;
  print_diagnostics(found, io, Where::kErr);
  for (const Candidate& candidate : gathering_.candidates()) note_missing_grants(candidate, *lock_.find(candidate.manifest.name), io);
  return false;
}

std::vector<rules::RuleLine> Offer::rules_of(const std::string& pack) const {
  std::vector<rules::RuleLine> out;
  for (const rules::RuleLine& rule : rules_) {
    if (rule.pack == pack) out.push_back(rule);
  }
  return out;
}

/// What changes against the installed version; nothing when there is none.
std::optional<std::vector<rules::RuleChange>> Offer::changes(const Candidate& candidate, const Io& io) const {
  const packs::LockedPack* locked = workspace_.lock.find(candidate.manifest.name);
  if (locked == nullptr) return std::nullopt;
  std::vector<config::Diagnostic> ignored;
  const std::optional<Candidate> before = installed(workspace_, *locked, io, ignored);
  if (!before) return std::nullopt;
  return rules::compare_rules(rules_alone(*before, gathering_.all(), ignored), rules_alone(candidate, gathering_.all(), ignored));
}

void Offer::show(Io& io) const {
  const Paint paint = paint_for_out(io);
  const std::vector<Candidate>& candidates = gathering_.candidates();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const packs::Manifest& manifest = candidates[i].manifest;
    const packs::LockedPack& pack = *lock_.find(manifest.name);
    io.out << paint.bold(manifest.name + " " + manifest.version.text()) << " (" << packs::kind_name(manifest.kind) << ", "
            << manifest.license << ") — " << manifest.summary << "\n";
    Table table({Table::Align::kLeft, Table::Align::kLeft});
    table.row({"from", pack.source});
    table.row({"signed", pack.key.empty() ? paint.yellow("no") : "by " + packs::short_key(pack.key)});
    table.row({"needs", needs_text(pack, manifest)});
    for (const auto& [alias, target] : pack.models) table.row({"model", alias + " = " + target});
    for (const auto& [name, value] : pack.settings) table.row({"setting", name + " = " + value});
    table.row({"tests", outcome_of(reports_[i])});
    table.print(io.out, "  ");
    print_failures(io.out, paint, reports_[i], "    ");
    if (const auto changed = changes(candidates[i], io)) {
      io.out << "  rules that change\n";
      print_changes(io.out, paint, *changed, "    ");
      if (changed->empty()) io.out << "    none\n";
    } else {
      io.out << "  rules it adds\n";
      print_rules(io.out, paint, rules_of(manifest.name), "    ");
    }
    const std::vector<rules::Shadow> shadows = rules::shadows_of(manifest.name, rules_);
    if (!shadows.empty()) io.out << "  stands above\n";
    print_shadows(io.out, paint, shadows, "    ");
    io.out << "\n";
  }
}

void Offer::write_json(bool changed, Io& io) const {
  const std::vector<Candidate>& candidates = gathering_.candidates();
  std::string text;
  json::Writer writer(text);
  writer.begin_object().member("schema", "ccrules.pack.install/1").member("changed", changed).member("lock", workspace_.lock_path);
  writer.key("packs").begin_array();
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const packs::LockedPack& pack = *lock_.find(candidates[i].manifest.name);
    writer.begin_object().member("name", pack.name).member("version", pack.version).member("path", pack.path);
    writer.member("kind", packs::kind_name(candidates[i].manifest.kind)).member("source", pack.source);
    writer.member("identity", pack.identity).member("key", pack.key).key("needs");
    write_texts(writer, candidates[i].manifest.needs);
    writer.key("granted");
    write_texts(writer, pack.granted);
    writer.key("models").begin_object();
    for (const auto& [alias, target] : pack.models) writer.member(alias, target);
    writer.end_object().key("rules");
    write_rules(writer, rules_of(pack.name));
    writer.key("shadows");
    write_shadows(writer, rules::shadows_of(pack.name, rules_));
    writer.key("tests").begin_object();
    writer.member("passed", static_cast<std::int64_t>(reports_[i].cases.size() - reports_[i].failed()));
    writer.member("failed", static_cast<std::int64_t>(reports_[i].failed())).end_object().end_object();
  }
  writer.end_array().end_object();
  io.out << text << "\n";
}

}  // namespace ccrules::cli
