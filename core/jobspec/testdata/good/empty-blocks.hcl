job "j" {
  update {}
  meta {}
  group "g" {
    network {}
    service {}
    restart {}
    task "t" {
      config {}
      env {}
      resources {}
      schedule {}
      volume_mount {}
      template {}
      vault {}
      logs {}
    }
  }
}
