# Accepted, with remarks: what has no effect, and what wins.
job "j" {
  constraint {
    attribute        = "${meta.a}"
    set_contains_any = "x"
  }
  constraint {
    set_contains_all = "x"
  }
  constraint {
    is_set = "${meta.a}"
  }
  constraint {
    is_not_set = "${meta.a}"
  }
  constraint {
    attribute = "${attr.a}"
    version   = "1"
    regexp    = "2"
  }
  constraint {
    operator = "="
    value    = "x"
    version  = "3"
  }
}
