#include <algorithm>
#include <string>
#include <vector>

#include "cli/pack/report.h"
#include "cli/pack/verbs.h"
#include "cli/pack/workspace.h"
#include "core/text.h"

namespace ccrules::cli {

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
