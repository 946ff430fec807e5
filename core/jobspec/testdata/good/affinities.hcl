job "j" {
  affinity {
    attribute = "a"
    version   = "1"
  }
  affinity {
    attribute = "a"
    semver    = "1"
  }
  affinity {
    attribute    = "a"
    set_contains = "1"
  }
  affinity {
    attribute        = "a"
    set_contains_any = "1,2"
  }
  affinity {
    attribute        = "a"
    set_contains_all = "1,2"
    weight           = 100
  }
}
