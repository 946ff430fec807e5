job "j" {
  dynamic "grop" {
    for_each = []
    content {}
  }
  dynamic "priority" {
    for_each = []
    content {}
  }
  dynamic "group" {
    labels = ["x"]
    content {}
  }
  dynamic "group" {
    for_each = "text"
    labels   = ["x"]
    content {}
  }
  dynamic "group" {
    for_each = null
    labels   = ["x"]
    content {}
  }
  dynamic "group" {
    for_each = attr.x
    labels   = ["x"]
    content {}
  }
  dynamic "group" {
    for_each = [1]
    labels   = ["x"]
  }
  dynamic "group" {
    for_each = [1]
    labels   = ["x"]
    content {}
    content {}
  }
  dynamic "group" {
    for_each = [1]
    labels   = "x"
    content {}
  }
  dynamic "group" {
    for_each = [1]
    content {}
  }
  dynamic "group" {
    for_each = [1]
    iterator = "text"
    labels   = ["x"]
    content {}
  }
  dynamic "group" {
    for_each = [1]
    unknown  = 1
    content {}
  }
  dynamic {
    for_each = [1]
  }
}
