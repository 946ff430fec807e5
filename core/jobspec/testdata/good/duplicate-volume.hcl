job "j" {
  group "g" {
    volume "v" {
      source = "first"
    }
    volume "v" {
      source = "second"
    }
  }
}
