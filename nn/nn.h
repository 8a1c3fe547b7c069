// All layers.
#pragma once

#include <heed/nn/activation.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/dropout.h>
#include <heed/nn/embedding.h>
#include <heed/nn/feed_forward.h>
#include <heed/nn/init.h>
#include <heed/nn/linear.h>
#include <heed/nn/loss.h>
#include <heed/nn/module.h>
#include <heed/nn/multi_head_attention.h>
#include <heed/nn/norm.h>
#include <heed/nn/position.h>
#include <heed/nn/position_bias.h>
#include <heed/nn/pytorch_names.h>
#include <heed/nn/recurrent.h>
#include <heed/nn/rope.h>
#include <heed/nn/transformer.h>
