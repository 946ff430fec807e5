job "j" {
  dynamic "meta" {
    for_each = [1]
    content {
      a = meta.value
    }
  }
  dynamic "update" {
    for_each = []
    content {
      canary = 1
    }
  }
  dynamic "constraint" {
    for_each = convert(["b", "a"], set(string))
    content {
      attribute = "$${meta.${constraint.key}}"
      value     = constraint.value
    }
  }
  group "g" {
    dynamic "volume" {
      for_each = { data = true, logs = false }
      labels   = [volume.key]
      content {
        source    = volume.key
        read_only = volume.value
      }
    }
    dynamic "task" {
      for_each = ["a"]
      labels   = [task.value]
      content {
        dynamic "config" {
          for_each = [task.value]
          content {
            command = "${config.value}-${task.value}"
            blk {
              in = config.key
            }
          }
        }
        dynamic "resources" {
          for_each = [64]
          content {
            memory = resources.value
          }
        }
        dynamic "vault" {
          for_each = ["r"]
          content {
            role = vault.value
          }
        }
        dynamic "scaling" {
          for_each = ["cpu"]
          labels   = [scaling.value]
          content {
            max = 3
          }
        }
        dynamic "secret" {
          for_each = ["s"]
          labels   = [secret.value]
          content {
            provider = "nomad"
            path     = "p"
          }
        }
      }
    }
  }
}
