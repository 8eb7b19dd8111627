"""What claims on transformers name as module.function: public functions (run, ...) -> Measured."""
