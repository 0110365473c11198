base { model = "claude-sonnet-5-5", tokens = 2000, project = "/srv/secret/web" }

case "private work goes to the model at home, with nothing behind it" {
  expect = { to = "home", by = "at-home", fallback = 0, headers = { ["x-private"] = "yes" }, deny = false },
}
case "the folder itself is private too" { given = { project = "/srv/secret" }, expect = { by = "at-home", fallback = 0 } }
case "customer data anywhere is" {
  given = { project = "/home/ann/customer-data/2026" },
  expect = { by = "at-home", fallback = 0 },
}
case "other work goes out" {
  given = { project = "/srv/website" },
  expect = {
    to = "anthropic,claude-sonnet-5-5",
    by = "default",
    headers = { ["x-private"] = false },
    fallback = { "anthropic,claude-haiku-4-5" },
  },
}
case "asking for another provider by name is refused" {
  given = { model = "anthropic,claude-opus-5-5" },
  expect = { deny = { status = 403, message = "only local models for this repository" }, by = "no-way-out" },
}
case "from the folder itself" {
  given = { project = "/srv/secret", model = "anthropic,claude-opus-5-5" },
  expect = { deny = 403, by = "no-way-out" },
}
case "and for customer data" {
  given = { project = "/home/ann/customer-data/2026", model = "anthropic,claude-opus-5-5" },
  expect = { deny = 403, by = "no-way-out" },
}
case "asking for the local one is fine" {
  given = { model = "local,qwen3-coder" },
  expect = { to = "home", deny = false },
}
case "elsewhere everyone may ask for what they like" {
  given = { project = "/srv/website", model = "anthropic,claude-opus-5-5" },
  expect = { to = "anthropic,claude-opus-5-5", by = "explicit" },
}
case "a whole request says where it comes from in its system prompt" {
  request = "samples/secret.json",
  expect = { by = "at-home", upstream = "golden/secret.json" },
}
