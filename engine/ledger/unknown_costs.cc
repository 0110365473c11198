#include "ledger/unknown_costs.h"

#include <algorithm>
#include <map>

#include "ledger/spend_sum.h"
#include "ledger/sqlite.h"

namespace ccrules::ledger {
namespace {

constexpr char kRows[] =
    "SELECT coalesce(provider, ''), coalesce(model, ''), session, user, project, client, agent, requested_model, key, subagent, tags, payer,"
    " billed_model FROM requests WHERE at_us >= ? AND ";

/// A row of kRows, with what decides the scopes that it counts in.
Record keys_at(const Statement& from) {
  Record row;
  int column = 2;
  for (std::string* text : {&row.session, &row.user, &row.project, &row.client, &row.agent, &row.requested_model, &row.key,
                            &row.subagent, &row.tags_json, &row.payer, &row.billed_model}) {
    *text = from.text(column++);
  }
  return row;
}

bool counts_in(const Record& row, std::string_view by, std::string_view key) {
  bool counts = by.empty();
  each_scope(row, [&](std::size_t scope, std::string_view key_of_row) { counts = counts || (kScopes[scope] == by && key_of_row == key); });
  return counts;
}

}  // namespace

Result<UnknownCosts> unknown_costs(const std::string& path, std::string_view by, std::string_view key, std::int64_t since_us) {
  constexpr int kBusyMs = 2000;
  const auto read = [&]() -> Result<UnknownCosts> {
    CCR_TRY(connection, Connection::open(path, Connection::Mode::kReadOnly, kBusyMs));
    CCR_TRY(rows, Statement::prepare(connection, std::string(kRows) + kCostIsUnknown));
    rows.bind(1, since_us);
    std::map<std::string, std::int64_t> requests_of;
    UnknownCosts found;
    for (;;) {
      CCR_TRY(more, rows.step());
      if (!more) break;
      if (!counts_in(keys_at(rows), by, key)) continue;
      ++found.requests;
      ++requests_of[rows.text(0) + "," + rows.text(1)];
    }
    found.models.assign(requests_of.begin(), requests_of.end());
    std::stable_sort(found.models.begin(), found.models.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    return found;
  };
  Result<UnknownCosts> result = read();
  if (result.ok()) return result;
  Error error = std::move(result).error();
  error.message = "cannot read the ledger " + path + ": " + error.message;
  return error;
}

}  // namespace ccrules::ledger
