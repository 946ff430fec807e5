job "j" {
  group "g" {
    task "t" {
      config {
        s    = "text"
        i    = 1
        f    = 1.5
        w    = 2.0
        b    = true
        l    = [1, "x", null]
        n    = null
        deep = [[1], { a = [] }]
        e    = []
        huge = 9007199254740993
        neg  = -0.25
        none {}
        once {
          x = 1
          y = null
        }
        twice {
          x = 1
        }
        twice {
          x = 2
          in {
            z = 3
          }
        }
        named "a" {
          x = 1
        }
        named "a" "b" {
          x = 2
        }
      }
    }
  }
}
