#include "packs/index.h"

#include <algorithm>

#include "config/source.h"
#include "core/json.h"
#include "core/text.h"

namespace ccrules::packs {
namespace {

using config::Node;
using Type = json::Type;

constexpr std::string_view kSchema = "ccrules.index/1";

class IndexReader {
 public:
  IndexReader(const std::string& file, const std::string& text, std::vector<config::Diagnostic>& diagnostics)
      : source_(file, text), diagnostics_(diagnostics) {}

  std::optional<Index> read() {
    const std::size_t before = diagnostics_.size();
    const std::optional<Node> root = source_.parse(diagnostics_);
    if (!root) return std::nullopt;
    bool schema = false;
    for (const Node::Member& member : root->members) {
      if (member.key == "schema") schema = member.value.text == kSchema;
      if (member.key != "packs") continue;
      for (const Node& item : member.value.items) read_row(item);
    }
    if (!schema) fail(root->offset, "this is no index of packs: schema must be " + std::string(kSchema));
    if (diagnostics_.size() != before) return std::nullopt;
    return std::move(index_);
  }

 private:
  void fail(std::size_t offset, std::string message) { diagnostics_.push_back(source_.diagnostic(offset, std::move(message))); }

  // Members this version does not know may be of a later one.
  void read_row(const Node& node) {
    IndexRow row;
    std::optional<Version> version;
    for (const Node::Member& member : node.members) {
      if (member.key == "version") version = Version::parse(member.value.text);
      for (const auto& [name, slot] : {std::pair("name", &row.name), std::pair("source", &row.source), std::pair("identity", &row.identity),
                                       std::pair("key", &row.key), std::pair("kind", &row.kind), std::pair("summary", &row.summary),
                                       std::pair("engine", &row.engine)}) {
        if (member.key == name && member.value.is(Type::kString)) *slot = member.value.text;
      }
      if (member.key == "needs") {
        for (const Node& item : member.value.items) row.needs.push_back(item.text);
      }
      if (member.key == "depends") {
        for (const Node::Member& depend : member.value.members) row.depends[depend.key] = depend.value.text;
      }
    }
    if (!is_pack_name(row.name) || !version || row.source.empty() || row.identity.empty()) {
      fail(node.offset, "a row of an index has name, version, source and identity");
      return;
    }
    row.version = *version;
    index_.put(std::move(row));
  }

  config::Source source_;
  std::vector<config::Diagnostic>& diagnostics_;
  Index index_;
};

bool comes_before(const IndexRow& a, const IndexRow& b) { return a.name != b.name ? a.name < b.name : b.version < a.version; }

}  // namespace

const IndexRow* Index::newest(std::string_view name, const Range& range, std::string_view engine_version) const {
  const std::optional<Version> engine = Version::parse(engine_version);
  for (const IndexRow& row : rows) {
    if (row.name != name || !range.contains(row.version)) continue;
    const std::optional<Range> engines = Range::parse(row.engine);
    if (!engines || !engine || engines->contains(*engine)) return &row;
  }
  return nullptr;
}

void Index::put(IndexRow row) {
  const auto at = std::lower_bound(rows.begin(), rows.end(), row, comes_before);
  if (at != rows.end() && at->name == row.name && at->version == row.version) {
    *at = std::move(row);
  } else {
    rows.insert(at, std::move(row));
  }
}

std::optional<Index> read_index(const std::string& file, const std::string& text, std::vector<config::Diagnostic>& diagnostics) {
  return IndexReader(file, text, diagnostics).read();
}

std::string to_json(const Index& index) {
  std::string out = "{\n\"schema\": \"" + std::string(kSchema) + "\",\n\"packs\": [";
  for (std::size_t i = 0; i < index.rows.size(); ++i) {
    const IndexRow& row = index.rows[i];
    out += i > 0 ? ",\n" : "\n";
    json::Writer writer(out);
    writer.begin_object().member("name", row.name).member("version", row.version.text()).member("source", row.source);
    writer.member("identity", row.identity);
    if (!row.key.empty()) writer.member("key", row.key);
    writer.member("kind", row.kind).member("engine", row.engine).member("summary", row.summary);
    writer.key("needs").begin_array();
    for (const std::string& need : row.needs) writer.string(need);
    writer.end_array().key("depends").begin_object();
    for (const auto& [name, range] : row.depends) writer.member(name, range);
    writer.end_object().end_object();
  }
  return out + "\n]\n}\n";
}

}  // namespace ccrules::packs
