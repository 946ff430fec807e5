job "j" { priority = 1, name = "x" }
