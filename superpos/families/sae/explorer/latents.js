// What several cards ask of latents.

const NEVER = 0; // the rate of a dead latent
