job "j" {
  dynamic "group" {
    for_each = ["a", "b"]
    labels   = [group.value]
    content {
      count = group.value
      cuont = 1
    }
  }
  dynamic "update" {
    for_each = [1, 2]
    content {}
  }
}
