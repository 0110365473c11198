alias { cheap = "local,qwen3-coder" }

-- From here on nothing is spent: the day is over.
rule "stop" {
  when = { spend_today = { gte = 25 }, provider_class = "external" },
  deny = { status = 429, message = "$25 used today: local models still answer" },
}

-- Before that, the work that can do with less goes to the model that costs nothing.
rule "save" {
  when = { spend_today = { gte = 20 }, agent = none { "main" } },
  to = "cheap",
  reason = "saving: ${spend_today} spent today",
}

-- One project may not use up the whole day.
rule "fair-share" {
  when = { spend = { by = "project", per = "day", gte = 10 } },
  to = "cheap",
}
