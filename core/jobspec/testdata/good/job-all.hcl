job "label" {
  id          = "the-id"
  name        = "the name"
  type        = "batch"
  region      = "eu"
  namespace   = "prod"
  datacenters = ["dc*"]
  node_pool   = "gpu"
  priority    = 70
  all_at_once = true

  meta {
    owner = "ops"
    level = 3
    ok    = true
  }

  constraint {
    attribute = "${node.class}"
    operator  = "!="
    value     = "old"
  }
  affinity {
    attribute = "${node.datacenter}"
    value     = "dc1"
    weight    = -20
  }
  spread {
    attribute = "${node.datacenter}"
    weight    = 80
    target "dc1" {
      percent = 70
    }
    target "dc2" {
      percent = 30
    }
  }
  periodic {
    crons            = ["*/5 * * * *", "@daily"]
    enabled          = false
    prohibit_overlap = true
    time_zone        = "Europe/Berlin"
  }
  parameterized {
    payload       = "required"
    meta_required = ["a"]
    meta_optional = ["b", "c"]
  }
  migrate {
    max_parallel     = 2
    health_check     = "task_states"
    min_healthy_time = "15s"
    healthy_deadline = "4m"
  }
  reschedule {
    attempts       = 2
    interval       = "1h"
    delay          = "30s"
    delay_function = "fibonacci"
    max_delay      = "10m"
    unlimited      = false
  }
  update {
    max_parallel      = 2
    health_check      = "manual"
    min_healthy_time  = "12s"
    healthy_deadline  = "6m"
    progress_deadline = "0"
    auto_revert       = true
    auto_promote      = true
    canary            = 1
    stagger           = "31s"
  }
  multiregion {
    strategy {
      max_parallel = 1
      on_failure   = "fail_all"
    }
    region "west" {
      count       = 2
      datacenters = ["w1"]
      node_pool   = "p"
      meta {
        a = "b"
      }
    }
    region "east" {}
  }
  ui {
    description = "What it is."
    link {
      label = "docs"
      url   = "https://example.com"
    }
    link {
      label = "code"
      url   = "https://example.org"
    }
  }
  group "g" {}
}
