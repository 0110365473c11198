#include "proxy/query.h"

#include "core/percent.h"
#include "core/text.h"

namespace ccrules::proxy {

std::optional<std::string> query_parameter(std::string_view query, std::string_view name) {
  for (const std::string_view part : text::split(query, '&')) {
    const std::size_t equals = part.find('=');
    if (part.substr(0, equals) != name) continue;
    std::string value(equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1));
    for (char& c : value) {
      if (c == '+') c = ' ';
    }
    return percent_decoded(value);
  }
  return std::nullopt;
}

}  // namespace ccrules::proxy
