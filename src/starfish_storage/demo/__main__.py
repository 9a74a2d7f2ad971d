"""The demo as a program; a module of its own, so that its functions have one name in both of its processes."""

from starfish_storage.demo.gsm8k_run import main

if __name__ == "__main__":
    main()
