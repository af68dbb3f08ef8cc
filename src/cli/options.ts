import { Option } from 'commander'

/** `-c, --config`. */
export const configOption = () =>
  new Option('-c, --config <path>', 'sluice.yaml, or the folder that holds it')
    .env('SLUICE_CONFIG')
    .default('sluice.yaml')
