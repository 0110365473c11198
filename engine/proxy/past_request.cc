#include "proxy/past_request.h"

namespace ccrules::proxy {

rules::RecordedRequest recorded(const ledger::Record& row) {
  rules::RecordedRequest request;
  request.identity.client = row.client;
  request.identity.session = row.session;
  request.identity.user = row.user;
  request.identity.project = row.project;
  request.identity.agent = row.agent;
  request.identity.request_class = row.request_class;
  request.model = row.requested_model;
  request.dialect = row.dialect;
  request.path = row.path;
  request.stream = row.stream;
  request.wall_us = row.at_us;
  request.facts_json = row.facts_json;
  return request;
}

}  // namespace ccrules::proxy
