job "j" {
  meta {
    list = [1]
    map  = { a = 1 }
    null = null
    blk {
      a = 1
    }
  }
  group "g" {
    meta = "x"
    task "t" {
      env  = ["a"]
      meta = { a = [1] }
    }
    service {
      check {
        header {
          A = "not a list"
          B = null
          C = [["x"]]
        }
      }
    }
  }
}
