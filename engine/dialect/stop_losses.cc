#include "dialect/stop_losses.h"

namespace ccrules::dialect {

void note_stop(const chat::Reply& reply, chat::LossNotes& losses) {
  if (!reply.stop_sequence.empty()) losses.add("stop_sequence", "only Anthropic's answers name the sequence that ended them");
  const bool says_more = !reply.stop_details_json.empty() && reply.stop_details_json != kFilteredDetails;
  if (says_more) losses.add("stop_details", "only Anthropic's answers say why they were refused");
}

}  // namespace ccrules::dialect
