job "j" {
  update = { max_parallel = 1 }
  group "g" {
    task "t" {
      config = { command = "x" }
      artifact {
        source  = "x"
        options = { a = "b" }
        headers = {}
      }
    }
    service {
      meta = { a = "b" }
      check {
        header = { a = ["b"] }
      }
    }
    network {
      cni {
        args {
          a = "b"
        }
      }
    }
  }
}
