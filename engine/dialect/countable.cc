#include "dialect/countable.h"

#include <utility>

#include "dialect/spent_request.h"

namespace ccrules::dialect {

Result<std::string> countable_body(const Dialect& spoken, std::string_view body, std::string_view model) {
  CCR_TRY(request, spoken.read_lent_request(body));
  request.model = model;
  chat::LossNotes nobody_is_told;  // what is counted is not what is sent
  return write_spent_request(anthropic(), std::move(request), Capabilities{}, nobody_is_told);
}

}  // namespace ccrules::dialect
